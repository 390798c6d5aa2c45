package main

import "testing"

func TestOutputTellsProgressFromErrors(t *testing.T) {
	o := &output{}
	if got := o.progress(); got != "looking at what there is to do" {
		t.Errorf("progress before anything = %q", got)
	}
	for _, chunk := range []string{
		"go: downloading github.com/prometheus/com", "mon v0.71.0\ninternal/goos\n",
		"github.com/prometheus/prometheus/tsdb\n# example.org/broken\n", "./a.go:3:5: undefined: x",
	} {
		if n, err := o.Write([]byte(chunk)); n != len(chunk) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if got, want := o.progress(), "1 modules downloaded, 2 packages compiled"; got != want {
		t.Errorf("progress = %q, want %q", got, want)
	}
	if got, want := o.rest(), "# example.org/broken\n./a.go:3:5: undefined: x"; got != want {
		t.Errorf("rest = %q, want %q", got, want)
	}
}

func TestFindSourceLooksUpwards(t *testing.T) {
	source, err := findSource()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(source)
	again, err := findSource()
	if err != nil {
		t.Fatal(err)
	}
	if again != source {
		t.Errorf("from %s: found %s", source, again)
	}
	t.Chdir(t.TempDir())
	if found, err := findSource(); err == nil {
		t.Errorf("outside of a checkout: found %s", found)
	}
}
