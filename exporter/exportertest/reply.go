package exportertest

import (
	"net/http"
	"time"
)

// Reply is what a hub makes of one request. The zero Reply takes the push in and
// answers 200.
//
// What happens, in this order: the body is read, Kept takes it in, the hub waits
// (Delay, Hang), a push that Status is good for is taken in, and the answer goes
// out or is Lost.
type Reply struct {
	// Status is a final status, 0 for 200. A push is taken in when it is 2xx. A
	// hub that finds such a push's text wrong answers 400 instead. Refusals of
	// samples (400, 413, 415, 422) have a reason (header Hubring-Reason), as a
	// hub's have, unless Header has another one.
	Status int
	// Body is the answer's text.
	Body string
	// Header is added to the answer's, such as Retry-After.
	Header http.Header
	// Stranger makes it somebody else's answer, who is at the hub's address: a proxy, a
	// login page, another program. It does not say that a hub gives it, and takes
	// nothing in, whatever its status, unless the push is Kept.
	Stranger bool

	// Kept takes the push in as soon as it is read, whatever the answer will
	// be: a gateway's 504 for a request that was served, or one that comes after
	// the client has given up.
	Kept bool
	// Delay is how long the hub thinks. A push whose client goes away meanwhile
	// is not taken in unless it is Kept.
	Delay time.Duration
	// Hang never answers: it waits until the client goes away.
	Hang bool
	// Lost cuts the connection instead of answering. With a Status of 2xx the push
	// has been taken in.
	Lost bool
	// CutAfter cuts the connection when so many bytes of the body are read, and
	// after Delay; a negative one does so at the first. Nothing is taken in. A body
	// that is shorter is cut at its end.
	CutAfter int
}

// takes says whether a push is taken in.
func (r *Reply) takes() bool { return r.Kept || !r.Stranger && r.Status >= 200 && r.Status <= 299 }

// Reply makes the hub treat the next pushes so, one each, in the order of their
// arrival, and after those that it was told before. Later ones get what Always
// said, or 200. A push without a body, by which an exporter tries a hub that was down,
// takes none of these replies: it gets what Always said.
//
// A client whose requests may be repeated, as an exporter's, has them repeated by
// net/http, unseen, when a connection that was used before is cut before an answer.
// So one push of such a client may meet a Reply with Lost or CutAfter, and then the
// next one.
func (h *Hub) Reply(replies ...Reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.script = append(h.script, replies...)
}

// Always makes the hub treat all pushes so, after those of Reply, until Recover.
func (h *Hub) Always(reply Reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.always = reply
}

// Ready makes the hub treat requests of /-/ready so, until Recover.
func (h *Hub) Ready(reply Reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = reply
}

// Recover ends what Reply, Always, Ready and Ended began: the hub is well. Requests
// that wait already are not affected.
func (h *Hub) Recover() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.script, h.always, h.ready, h.ended = nil, Reply{}, Reply{}, Reply{}
}

// Refuse makes the hub answer 400, with the number of the line, to every push whose
// text contains the substring and that would be taken in otherwise. An empty one
// ends that.
func (h *Hub) Refuse(substring string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.poison = substring
}

// Advertise says whether answers tell that the hub reads gzip (Accept-Encoding, RFC
// 7694), as edgehub's do. It is on at first. The hub reads gzip either way.
func (h *Hub) Advertise(gzip bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unsaid = !gzip
}

// nextLocked is how the next push is treated.
func (h *Hub) nextLocked() Reply {
	if len(h.script) == 0 {
		return h.always
	}
	r := h.script[0]
	h.script = h.script[1:]
	return r
}
