package render

import "github.com/hubring/hubring/edgehub/internal/series"

// told is what a series was of a histogram or summary: of the one that begins with the series of
// another frame. Series of the same two frames are the same of any other gateway, since nothing but
// the gateway's own label differs.
type told struct {
	frame, first series.Frame
	role         role
	bound        float64
}

// toldBits say for how many frames there is room. Where a family has more, some are read again.
const toldBits = 11

// toldOf is where it is kept what a frame told. It may have what another one did.
func (r *run) toldOf(f series.Frame) *told {
	if r.told == nil {
		r.told = make([]told, 1<<toldBits)
	}
	return &r.told[uint32(f)*0x9e3779b1>>(32-toldBits)]
}

// tells says whether it tells what a series is, of the one that begins with the first.
func (k *told) tells(sp, first *series.Spelling) bool {
	return k.frame == sp.Frame() && k.first == first.Frame() && sp.Gateway() == first.Gateway()
}
