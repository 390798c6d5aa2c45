package push

import "runtime/debug"

// module is what an embedder requires.
const module = "github.com/hubring/hubring"

// userAgent is the header of every request: hubring-exporter and the version of the module
// that the program was built with, if that is known.
var userAgent = []string{agentOf(debug.ReadBuildInfo())}

func agentOf(build *debug.BuildInfo, ok bool) string {
	const name = "hubring-exporter"
	if !ok {
		return name
	}
	version := ""
	for _, m := range append([]*debug.Module{&build.Main}, build.Deps...) {
		if m.Path == module {
			version = m.Version
		}
	}
	if version == "" || version == "(devel)" {
		return name
	}
	return name + "/" + version
}
