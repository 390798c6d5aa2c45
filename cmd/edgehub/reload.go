package main

import (
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/prometheus/exporter-toolkit/web"
)

// reloader does what SIGHUP asks for. What is wrong in a file is logged, and the hub goes on
// as before.
type reloader struct {
	asking   []*asking
	webFiles []string // which the toolkit reads anew by itself, passwords for each request
	logger   *slog.Logger
}

// webFiles names the web config files of the options, each once.
func webFiles(o options) (files []string) {
	for _, f := range []string{*o.web.WebConfigFile, *o.scrapeWeb.WebConfigFile, *o.grpcWeb.WebConfigFile} {
		if f != "" && !slices.Contains(files, f) {
			files = append(files, f)
		}
	}
	return files
}

// start reloads with each signal. What it returns ends that, and waits for it.
func (r reloader) start(signals <-chan os.Signal) (stop func()) {
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-signals:
				r.reload()
			case <-ended:
				return
			}
		}
	})
	return func() { close(ended); running.Wait() }
}

func (r reloader) reload() {
	good := true
	for _, a := range r.asking {
		if err := a.load(); err != nil {
			r.logger.Error("told to reload; "+a.what+" as before", "error", err)
			good = false
		}
	}
	for _, f := range r.webFiles {
		if err := web.Validate(f); err != nil {
			r.logger.Error("told to reload; requests fail until the web config file is right", "file", f, "error", err)
			good = false
		}
	}
	if good {
		r.logger.Info("reloaded the files that can be read again; flags and samples are as before")
	}
}
