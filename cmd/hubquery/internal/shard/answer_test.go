package shard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const matrix = `{"status":"success","isPartial":false,"data":{"resultType":"matrix","result":[` +
	`{"metric":{"__name__":"up","job":"a\"b\\c\u00e9"},"values":[[1795996800,"1"],[1795996800.25,"NaN"],[1795996800.5,"+Inf"],[1795996801.125,"-1.5e-7"]]},` +
	`{"metric":{},"values":[[-1.5,"-Inf"]],"more":[{"x":[]}]}],"stats":{"a":[1,{"b":null}]}},` +
	`"warnings":["careful"],"infos":["PromQL info: by the way"],"trace":{"x":1}}`

func TestRead(t *testing.T) {
	for _, in := range []io.Reader{strings.NewReader(matrix), iotest.OneByteReader(strings.NewReader(matrix + "\n"))} {
		budget := NewBudget(10)
		a, err := read(in, budget)
		require.NoError(t, err)
		assert.Equal(t, "success", a.status)
		assert.Equal(t, "matrix", a.kind)
		assert.Equal(t, []string{"careful", "PromQL info: by the way"}, a.warnings)
		require.Len(t, a.series, 2)
		assert.Equal(t, labels.FromStrings("__name__", "up", "job", "a\"b\\c\u00e9"), a.series[0].Metric)
		assert.Equal(t, promql.FPoint{T: 1795996800_000, F: 1}, a.series[0].Floats[0])
		assert.True(t, math.IsNaN(a.series[0].Floats[1].F))
		assert.Equal(t, promql.FPoint{T: 1795996800_500, F: math.Inf(1)}, a.series[0].Floats[2])
		assert.Equal(t, promql.FPoint{T: 1795996801_125, F: -1.5e-7}, a.series[0].Floats[3])
		assert.Equal(t, []promql.FPoint{{T: -1500, F: math.Inf(-1)}}, a.series[1].Floats)
		assert.Equal(t, 5, budget.Taken())
	}
}

// An answer that was cut off anywhere is none.
func TestReadCut(t *testing.T) {
	for n := range len(matrix) {
		_, err := read(strings.NewReader(matrix[:n]), NewBudget(10))
		require.Error(t, err, matrix[:n])
		var refused *RefusedError
		require.NotErrorAs(t, err, &refused)
	}
}

func TestReadRubbish(t *testing.T) {
	vector := func(series string) string {
		return `{"status":"success","data":{"resultType":"vector","result":[` + series + `]}}`
	}
	for _, body := range []string{
		"", " ", "null", "[]", "7", `"x"`, "<html>", "{", `{"status":"success"}`, `{"status":"success","data":null}`, `{"status":"success","data":[]}`,
		`{"status":"success","data":{}}`, `{"status":"success","data":{"result":null}}`, `{"status":"success","data":{"result":{}}}`,
		`{"status":"success","data":{"result":[],"result":[]}}`, `{"status":1,"data":{"result":[]}}`,
		vector(`7`), vector(`[1795996800,"1"]`), vector(`{"metric":7}`), vector(`{"metric":{"a":1},"value":[1,"1"]}`), vector(`{"metric":{"a":"1","a":"2"},"value":[1,"1"]}`),
		vector(`{"value":7}`), vector(`{"value":[]}`), vector(`{"value":[1]}`), vector(`{"value":[1,1]}`), vector(`{"value":[1,"1",2]}`), vector(`{"value":["1","1"]}`),
		vector(`{"value":[1,"one"]}`), vector(`{"value":[1,""]}`), vector(`{"value":[1e300,"1"]}`), vector(`{"value":null}`), vector(`{"values":[[1,"1"],7]}`), vector(`{"values":[null]}`), vector(`{},`),
	} {
		_, err := read(strings.NewReader(body), NewBudget(10))
		if assert.Error(t, err, body) {
			assert.Contains(t, err.Error(), "not an answer of the query API", body)
			assert.Less(t, len(err.Error()), 500)
		}
	}
	_, err := read(strings.NewReader(vector(`{"metric":{},"histogram":[1,{"count":"1"}]}`)), NewBudget(10))
	assert.ErrorIs(t, err, ErrHistograms)
}

// What is beyond the budget is not even read.
func TestReadWithinBudget(t *testing.T) {
	points := strings.Repeat(`[1,"1"],`, 50_000)
	for name, body := range map[string]string{
		"points":                `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[` + points,
		"series without points": `{"status":"success","data":{"resultType":"matrix","result":[` + strings.Repeat(`{"metric":{}},`, 50_000),
	} {
		t.Run(name, func(t *testing.T) {
			in := strings.NewReader(body)
			_, err := read(in, NewBudget(3000))
			assert.True(t, isTooMany(err), "%v", err)
			assert.EqualError(t, err, promql.ErrTooManySamples("query execution").Error())
			assert.Greater(t, in.Len(), len(body)/2)
		})
	}
}

// decoded is an answer as encoding/json sees it.
type decoded struct {
	Status string
	Data   struct {
		Result []struct {
			Metric map[string]string
			Value  *[2]any
			Values [][2]any
		}
	}
}

// Whatever comes, read does not panic; and what it takes is what encoding/json would have taken, to its last byte.
func FuzzRead(f *testing.F) {
	f.Add([]byte(matrix))
	f.Add([]byte(`{"status":"error","errorType":"bad_data","error":"no"}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1.5,"2"]}]}}`))
	f.Add([]byte(`{"data":{"result":[{"values":[[1,"1"]],"values":[[2,"1"]],"value":[3,"3"]}]},"status":"success"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := read(bytes.NewReader(body), NewBudget(10_000))
		if err != nil || a.status != "success" {
			return
		}
		d := json.NewDecoder(bytes.NewReader(body))
		var whole json.RawMessage
		if d.Decode(&whole) != nil { // bytes in strings that are no text
			return
		}
		end := int(d.InputOffset())
		for _, n := range []int{end - 1, end / 2, end * 3 / 4} {
			_, err := read(bytes.NewReader(body[:max(n, 0)]), NewBudget(10_000))
			require.Error(t, err, "%s", body[:max(n, 0)])
		}
		var want decoded
		if json.Unmarshal(whole, &want) != nil || bytes.Count(body, []byte(`"result"`)) > 1 {
			return
		}
		require.Len(t, a.series, len(want.Data.Result))
		for i, s := range want.Data.Result {
			if s.Value != nil || len(a.series[i].Floats) != len(s.Values) {
				continue // it may have a field twice, of which the last counts there
			}
			for k, p := range s.Values {
				assert.InDelta(t, p[0].(float64)*1000, float64(a.series[i].Floats[k].T), 1)
				v, err := strconv.ParseFloat(p[1].(string), 64)
				require.NoError(t, err)
				require.Equal(t, math.Float64bits(v), math.Float64bits(a.series[i].Floats[k].F))
			}
		}
	})
}

const export = `{"metric":{"__name__":"up","job":"a"},"values":[1,null,"Infinity","-Infinity"],"timestamps":[1000,2000,3000,4000]}
{"metric":{"__name__":"up","job":"a"},"values":[0.5],"timestamps":[500]}
`

func TestReadExport(t *testing.T) {
	series, err := readExport(iotest.OneByteReader(strings.NewReader(export)), NewBudget(10))
	require.NoError(t, err)
	require.Len(t, series, 1)
	assert.Equal(t, labels.FromStrings("__name__", "up", "job", "a"), series[0].Metric)
	var times []int64
	for _, p := range series[0].Floats {
		times = append(times, p.T)
	}
	assert.Equal(t, []int64{500, 1000, 2000, 3000, 4000}, times)
	assert.InDelta(t, 0.5, series[0].Floats[0].F, 0)
	assert.True(t, math.IsNaN(series[0].Floats[2].F))
	assert.InDelta(t, math.Inf(1), series[0].Floats[3].F, 0)

	series, err = readExport(strings.NewReader(""), NewBudget(10))
	require.NoError(t, err)
	assert.Empty(t, series)

	first := strings.IndexByte(export, '\n') + 1
	for n := 1; n < len(export); n++ {
		if n == first { // a line's end: only that the connection ends early says it
			continue
		}
		_, err := readExport(strings.NewReader(export[:n]), NewBudget(10))
		require.Error(t, err, export[:n])
	}
	for _, body := range []string{
		"\n", "{}x", "null\n", "[]\n", "<html>\n", `{"metric":{},"values":[1],"timestamps":[]}` + "\n", `{"metric":{"a":"1","a":"2"},"values":[],"timestamps":[]}` + "\n",
		`{"metric":{"a":1}}` + "\n", `{"values":{}}` + "\n", `{"timestamps":["1"]}` + "\n", strings.Repeat(" ", mostLineBytes+100_000) + "\n",
	} {
		_, err := readExport(strings.NewReader(body), NewBudget(10))
		require.Error(t, err, "%.100s", body)
	}
	_, err = readExport(strings.NewReader(export), NewBudget(3))
	assert.True(t, isTooMany(err))
}

func FuzzReadExport(f *testing.F) {
	f.Add([]byte(export))
	f.Add([]byte(`{"metric":{},"values":[],"timestamps":[]}` + "\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		series, err := readExport(bytes.NewReader(body), NewBudget(10_000))
		if err != nil {
			return
		}
		for _, s := range series {
			for i := 1; i < len(s.Floats); i++ {
				require.Less(t, s.Floats[i-1].T, s.Floats[i].T)
			}
		}
		if len(body) > 0 {
			require.Equal(t, byte('\n'), body[len(body)-1])
			_, err := readExport(bytes.NewReader(body[:len(body)-1]), NewBudget(10_000))
			require.Error(t, err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	var body bytes.Buffer
	body.WriteString(`{"status":"success","data":{"resultType":"matrix","result":[`)
	for i := range 100 {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"metric":{"__name__":"up","gatewayID":"gw-%d"},"values":[`, i)
		for k := range 250 {
			if k > 0 {
				body.WriteByte(',')
			}
			fmt.Fprintf(&body, `[%d.25,"%d.%d"]`, 1795996800+k*15, k, i)
		}
		body.WriteString("]}")
	}
	body.WriteString("]}}")
	b.SetBytes(int64(body.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := read(bytes.NewReader(body.Bytes()), NewBudget(1_000_000)); err != nil {
			b.Fatal(err)
		}
	}
}
