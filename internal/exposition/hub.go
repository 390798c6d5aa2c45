package exposition

import "strings"

// HubHeader is the header of each answer of a hub, refusals included. It says who
// answers, so that a sender does not take another program's 200 for a hub's.
const HubHeader = "Hubring-Hub"

// HandoverHeader is the header of each push of a hub that hands over what its own server has not got, and has the hub's name,
// or "a hub". Its samples are no report of their gateways, which may be elsewhere now.
const HandoverHeader = "Hubring-Handover"

// MaxHubName bounds the name in a HubHeader, in bytes. It is as long as one on the ring.
const MaxHubName = 253

const (
	hubProduct    = "edgehub/"
	maxHubVersion = 64
)

// HubID is what a HubHeader says: edgehub/VERSION NAME. The name is the hub's on the
// exporters' ring, empty if it was not told.
type HubID struct{ Version, Name string }

// String returns the header. The name must be good, see IsHubName; of a version what
// cannot stand there is replaced.
func (id HubID) String() string {
	version := []byte(id.Version[:min(len(id.Version), maxHubVersion)])
	for i, c := range version {
		if c <= ' ' || c > '~' {
			version[i] = '_'
		}
	}
	if len(version) == 0 {
		version = []byte("unknown")
	}
	if id.Name == "" {
		return hubProduct + string(version)
	}
	return hubProduct + string(version) + " " + id.Name
}

// ParseHubID reads a HubHeader. It reports false for one that no hub writes.
func ParseHubID(header string) (HubID, bool) {
	rest, ok := strings.CutPrefix(header, hubProduct)
	version, name, named := strings.Cut(rest, " ")
	if !ok || version == "" || len(version) > maxHubVersion || !printable(version) || named && (name == "" || !IsHubName(name)) {
		return HubID{}, false
	}
	return HubID{version, name}, true
}

// IsHubName reports whether a name may stand in a HubHeader: printable ASCII without a
// blank at either end, MaxHubName bytes at most. The empty one stands for none.
func IsHubName(name string) bool {
	return len(name) <= MaxHubName && printable(name) && strings.TrimSpace(name) == name
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
