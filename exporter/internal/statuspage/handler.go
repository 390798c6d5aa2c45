package statuspage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/hubring/hubring/exporter/status"
)

// Handler answers with what report says. The ID is that of a gateway, nil if nobody asks for
// one. It asks nobody who they are.
func Handler(report func(gateway *string) status.Report) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { serve(w, req, report) })
}

func serve(w http.ResponseWriter, req *http.Request, report func(gateway *string) status.Report) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer") // the address may have a gateway in it
	h.Set("Vary", "Accept")
	h.Set("X-Content-Type-Options", "nosniff")
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "use GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	query := req.URL.Query()
	render, contentType := renderPage, "text/html; charset=utf-8"
	switch format := query.Get("format"); {
	case format == "json", format == "" && prefersJSON(req.Header.Values("Accept")):
		render, contentType = renderJSON, "application/json"
	case format != "" && format != "html":
		http.Error(w, fmt.Sprintf("format is %q: use html or json", format), http.StatusBadRequest)
		return
	}
	var gateway *string
	if query.Has("gateway") {
		id := query.Get("gateway")
		gateway = &id
	}
	r := report(gateway)
	Present(&r)
	body, err := render(&r)
	if err != nil {
		http.Error(w, "render the status: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if req.Method == http.MethodGet {
		_, _ = w.Write(body) // whoever asked has left if this fails
	}
}

func renderJSON(r *status.Report) ([]byte, error) {
	body, err := json.MarshalIndent(r, "", "  ")
	return append(body, '\n'), err
}

func renderPage(r *status.Report) ([]byte, error) {
	var text bytes.Buffer
	err := pageTemplate.Execute(&text, page{r})
	return text.Bytes(), err
}

// prefersJSON reads an Accept header. A wildcard is no wish for a page: programs
// send application/json, */*.
func prefersJSON(accept []string) bool {
	var forJSON, forPage float64
	for wish := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, params, err := mime.ParseMediaType(wish)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, ok := params["q"]; ok {
			if quality, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		switch kind {
		case "application/json":
			forJSON = max(forJSON, quality)
		case "text/html", "application/xhtml+xml":
			forPage = max(forPage, quality)
		}
	}
	return forJSON > forPage
}
