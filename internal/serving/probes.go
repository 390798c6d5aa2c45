package serving

import "net/http"

// openProbes lets probes pass in front of the passwords and the rate limit of a web config
// file, which a kubelet knows nothing of. The toolkit puts its handler in front of the
// server's when it is told to serve, so what openProbes returns is called after that.
func openProbes(server *http.Server) func() {
	open := server.Handler
	return func() {
		guarded := server.Handler
		server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isProbe(r) {
				open.ServeHTTP(w, r)
				return
			}
			guarded.ServeHTTP(w, r)
		})
	}
}

// isProbe takes no path that only looks like a probe's to one who reads it in another way.
func isProbe(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.URL.RawPath == "" &&
		(r.URL.Path == "/-/healthy" || r.URL.Path == "/-/ready")
}
