package keeper

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/check"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/publish"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/ruler"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/source"
)

// bench is a Keeper with folders of its own and a ruler that does as it is told.
// Its time is that of a synctest bubble.
type bench struct {
	t       *testing.T
	src, to string
	*Keeper
	log    text
	down   atomic.Bool  // the ruler is not up
	odd    atomic.Value // the ruler refuses a set in which this text occurs
	asked  atomic.Int64 // how often it was told to reload
	loaded atomic.Value // the text of all files that the ruler has loaded
}

// text is a log that may be read while it is written.
type text struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *text) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// onBench runs a test with a Keeper that looks every 30 s.
func onBench(t *testing.T, test func(b *bench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, src: filepath.Join(dir, "src"), to: filepath.Join(dir, "to")}
		require.NoError(t, os.Mkdir(b.src, 0o755))
		b.refuse("")
		b.loaded.Store("")
		b.restart()
		test(b)
	})
}

// restart is another process with the same folders.
func (b *bench) restart() {
	b.t.Helper()
	files, err := source.New([]string{b.src + "/*.yaml"}, source.Limits{FileBytes: 1 << 20, TotalBytes: 1 << 20, Files: 10})
	require.NoError(b.t, err)
	store, err := publish.Open(b.to)
	require.NoError(b.t, err)
	b.Keeper = New(Config{
		Sources: files, Checker: check.New(check.Config{Partial: check.Warn, ExpressionBytes: 1000}), Store: store, Ruler: b,
		Interval: 30 * time.Second, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
	})
}

func (b *bench) Up(context.Context) bool { return !b.down.Load() }

func (b *bench) Reload(context.Context) error {
	b.asked.Add(1)
	if b.down.Load() {
		return fmt.Errorf("%w: connection refused", ruler.ErrNotUp)
	}
	all, odd := b.published(), b.odd.Load().(string)
	if odd != "" && strings.Contains(all, odd) {
		return &ruler.RefusedError{Words: "no " + odd}
	}
	b.loaded.Store(all)
	return nil
}

// refuse has the ruler refuse a set in which a text occurs; none if it is empty.
func (b *bench) refuse(odd string) { b.odd.Store(odd) }

// published returns the text of all published files.
func (b *bench) published() string {
	b.t.Helper()
	names, err := filepath.Glob(filepath.Join(b.to, "current", "*.yaml"))
	require.NoError(b.t, err)
	var all strings.Builder
	for _, name := range names {
		content, err := os.ReadFile(name)
		require.NoError(b.t, err)
		all.Write(content)
	}
	return all.String()
}

// put writes a source file with a rule of that name, or with what is no rule.
func (b *bench) put(file, name string) {
	b.t.Helper()
	content := "groups:\n- name: g\n  rules:\n  - {record: " + name + ", expr: x}\n"
	require.NoError(b.t, os.WriteFile(filepath.Join(b.src, file), []byte(content), 0o600))
}

const bad = "x, expr: '('}\n  - {alert: b" // a rule name that makes line 4 wrong

// whole returns a value without its fraction.
func whole(c prometheus.Collector) int { return int(testutil.ToFloat64(c)) }

func (b *bench) refusals(reason string) int {
	return whole(b.metrics.refused.WithLabelValues(reason))
}

// get returns a page's status and text.
func (b *bench) get(path string) (int, string) {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	page, err := io.ReadAll(w.Body)
	require.NoError(b.t, err)
	return w.Code, string(page)
}

// running runs the Keeper meanwhile.
func (b *bench) running(during func()) {
	b.t.Helper()
	ctx, stop := context.WithCancel(b.t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); b.Run(ctx) }()
	synctest.Wait()
	during()
	stop()
	<-ended
}

// pass lets time pass, until nothing is under way.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// have asserts what rules are published and loaded, and whether they are all there are.
func (b *bench) have(rule string, good int) {
	b.t.Helper()
	assert.Contains(b.t, b.published(), "record: "+rule+"\n", "published")
	assert.Contains(b.t, b.loaded.Load(), "record: "+rule+"\n", "loaded")
	assert.Equal(b.t, good, whole(b.metrics.successful), "last_load_successful")
}

func TestABadFileChangesNothing(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put("a.yaml", "first")
		b.put("b.yaml", "other")
		code, _ := b.get("/-/ready")
		assert.Equal(t, 503, code)
		b.running(func() {
			b.have("first", 1)
			b.have("other", 1)
			code, _ := b.get("/-/ready")
			assert.Equal(t, 200, code)
			assert.Equal(t, []int{2, 2}, []int{whole(b.metrics.files), whole(b.metrics.groups)})
			at := whole(b.metrics.succeededAt)

			b.put("a.yaml", "second")
			b.put("b.yaml", bad)
			pass(10 * time.Minute)
			b.have("first", 0)
			b.have("other", 0)
			assert.NotContains(t, b.published(), "second")
			assert.EqualValues(t, 1, b.asked.Load())
			assert.Equal(t, 1, b.refusals("rule"), "one set was refused, however often it was looked at")
			assert.Equal(t, at, whole(b.metrics.succeededAt))
			assert.Equal(t, 1, strings.Count(b.log.String(), "unclosed left parenthesis"), "logged once:\n%s", &b.log)
			_, page := b.get("/")
			assert.Contains(t, page, b.src+`/b.yaml:4: group "g", rule 1, "x": could not parse expression`)
			assert.NotContains(t, page, "mended")

			b.put("b.yaml", "mended")
			pass(30 * time.Second)
			b.have("second", 1)
			b.have("mended", 1)
			_, page = b.get("/")
			assert.Contains(t, page, ", mended 20")
			code, _ = b.get("/-/healthy")
			assert.Equal(t, 200, code)
		})
	})
}

func TestNothingIsDoneWhereNothingChanged(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put("a.yaml", "first")
		b.running(func() {
			link, err := os.Readlink(b.to + "/current")
			require.NoError(t, err)
			logged := b.log.String()
			pass(time.Hour)
			again, err := os.Readlink(b.to + "/current")
			require.NoError(t, err)
			assert.Equal(t, link, again)
			assert.EqualValues(t, 1, b.asked.Load())
			assert.Equal(t, logged, b.log.String())
		})
	})
}

func TestARestartWithBadSourcesKeepsThePublishedSet(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put("a.yaml", "first")
		b.put("b.yaml", "other")
		require.NoError(t, b.Once(t.Context()))
		b.put("a.yaml", "second")
		b.put("b.yaml", bad)
		b.restart()
		require.NoError(t, b.Once(t.Context()))
		assert.Zero(t, b.asked.Load(), "--once has no ruler to tell")
		b.running(func() {
			b.have("first", 0)
			b.have("other", 0)
		})
	})
}

func TestAStartWithBadSourcesPublishesTheGoodOnes(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put("b.yaml", bad)
		require.NoError(t, b.Once(t.Context()))
		assert.NoFileExists(t, b.to+"/current", "nothing is no set: the next start may find more")
		b.put("a.yaml", "first")
		b.restart()
		b.running(func() {
			b.have("first", 0)
			assert.Contains(t, b.log.String(), "left_out=1")
			code, _ := b.get("/-/ready")
			assert.Equal(t, 200, code)
			b.put("b.yaml", "mended")
			pass(30 * time.Second)
			b.have("mended", 1)
		})
	})
}

func TestARulerThatIsNotUpIsAskedAgainSoon(t *testing.T) {
	onBench(t, func(b *bench) {
		b.down.Store(true)
		b.put("a.yaml", "first")
		b.running(func() {
			pass(4 * time.Minute)
			assert.Less(t, b.asked.Load(), int64(25))
			assert.Equal(t, 1, strings.Count(b.log.String(), "waiting for the ruler"))
			assert.Zero(t, whole(b.metrics.successful))
			for _, reason := range []string{"ruler", "rule", "write", "waiting"} {
				assert.Zero(t, b.refusals(reason))
			}
			b.down.Store(false)
			pass(30 * time.Second)
			b.have("first", 1)
		})
		asked := b.asked.Load()
		b.restart()
		b.down.Store(true)
		b.running(func() {
			b.down.Store(false)
			pass(time.Second)
			b.have("first", 1)
		})
		assert.Equal(t, asked+2, b.asked.Load())
	})
}

func TestASetThatTheRulerRefusesIsTakenBack(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put("a.yaml", "first")
		b.running(func() {
			b.refuse("second")
			b.put("a.yaml", "second")
			pass(30 * time.Second)
			b.have("first", 0)
			assert.EqualValues(t, 3, b.asked.Load(), "first, second, first again")
			_, page := b.get("/")
			assert.Contains(t, page, "the ruler refused the rules: no second")
			pass(5 * time.Minute)
			assert.EqualValues(t, 3, b.asked.Load())
			assert.Equal(t, 1, b.refusals("ruler"))
		})

		// Neither another process nor an init container publishes it at once.
		b.restart()
		require.NoError(t, b.Once(t.Context()))
		b.running(func() {
			b.have("first", 0)
			assert.EqualValues(t, 4, b.asked.Load())
			pass(9 * time.Minute)
			assert.EqualValues(t, 4, b.asked.Load())
			pass(2 * time.Minute)
			assert.EqualValues(t, 6, b.asked.Load(), "it was tried again")
			b.have("first", 0)

			b.refuse("")
			pass(11 * time.Minute)
			b.have("second", 1)
		})
	})
}

func TestASetThatIsRefusedAndHasNoneBeforeStays(t *testing.T) {
	onBench(t, func(b *bench) {
		b.refuse("first")
		b.put("a.yaml", "first")
		b.running(func() {
			assert.Contains(t, b.published(), "first")
			_, page := b.get("/")
			assert.Contains(t, page, "there is no set before to go back to")
			pass(5 * time.Minute)
			assert.Equal(t, 1, b.refusals("ruler"))
			b.put("a.yaml", "second")
			pass(30 * time.Second)
			b.have("second", 1)
		})
	})
}

// Wrong rules make a ruler exit at start: then it gets the ones that it had, and the
// new ones when it can say no.
func TestARulerThatDoesNotStartWithNewRulesGetsTheOnesBefore(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put("a.yaml", "first")
		b.running(func() { b.have("first", 1) })
		b.put("a.yaml", "second")
		b.restart()
		require.NoError(t, b.Once(t.Context()))
		assert.Contains(t, b.published(), "second")
		b.down.Store(true)
		b.refuse("second")
		b.running(func() {
			pass(4 * time.Minute)
			assert.Contains(t, b.published(), "second")
			pass(2 * time.Minute)
			assert.Contains(t, b.published(), "first")
			pass(10 * time.Minute)
			assert.Contains(t, b.published(), "first")
			b.down.Store(false)
			pass(30 * time.Second)
			b.have("first", 0)
			assert.Equal(t, 1, b.refusals("ruler"))
		})
	})
}

func TestWhatCannotBeWrittenIsTold(t *testing.T) {
	onBench(t, func(b *bench) {
		b.put("a.yaml", "first")
		require.NoError(t, os.RemoveAll(b.to))
		require.NoError(t, os.WriteFile(b.to, nil, 0o600))
		require.ErrorContains(t, b.Once(t.Context()), "write a set of rules")
		assert.Equal(t, 1, b.refusals("write"))
	})
}
