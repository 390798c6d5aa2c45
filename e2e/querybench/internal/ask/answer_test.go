package ask

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDifference(t *testing.T) {
	read := func(rule Rule, body string) *Answer {
		a, err := Read(Query{Rule: rule}, [][]byte{[]byte(body)})
		require.NoError(t, err)
		return a
	}
	check := func(rule Rule, a, b, want string) {
		t.Helper()
		got := Difference(rule, read(rule, `{"status":"success","data":`+a+`}`), read(rule, `{"status":"success","data":`+b+`}`))
		if want == "" {
			require.Empty(t, got)
		} else {
			require.Contains(t, got, want)
		}
	}
	vector := func(series string) string { return `{"resultType":"vector","result":[` + series + `]}` }
	matrix := func(series string) string { return `{"resultType":"matrix","result":[` + series + `]}` }

	one := vector(`{"metric":{"a":"1"},"value":[1,"3"]},{"metric":{"a":"2"},"value":[1,"4"]}`)
	check(Values, one, one, "")
	check(Values, one, vector(`{"metric":{"a":"2","shard":"0"},"value":[1,"4.000000001"]},{"metric":{"a":"1"},"value":[1,"3"]}`), "")
	check(Values, one, vector(`{"metric":{"a":"1"},"value":[1,"3"]},{"metric":{"a":"2"},"value":[1,"4.00000001"]}`), "1 of 2 points differ")
	check(Values, one, vector(`{"metric":{"a":"1"},"value":[1,"3"]},{"metric":{"a":"3"},"value":[1,"4"]}`), "1 series missing, 1 series too many")
	check(Values, vector(`{"metric":{},"value":[1,"NaN"]}`), vector(`{"metric":{},"value":[1,"NaN"]}`), "")
	check(Values, vector(`{"metric":{},"value":[1,"NaN"]}`), vector(`{"metric":{},"value":[1,"0"]}`), "1 of 1 points differ")
	check(Values, vector(`{"metric":{},"value":[1,"+Inf"]}`), vector(`{"metric":{},"value":[1,"1"]}`), "differ")
	check(Values, matrix(`{"metric":{},"values":[[1,"1"],[2.5,"2"]]}`), matrix(`{"metric":{},"values":[[1,"1"],[2,"2"]]}`), "2 points in one only")

	check(Ties, one, vector(`{"metric":{"a":"7"},"value":[1,"4"]},{"metric":{"a":"8"},"value":[1,"3"]}`), "")
	check(Ties, one, vector(`{"metric":{"a":"1"},"value":[1,"4"]},{"metric":{"a":"2"},"value":[1,"4"]}`), "differ")

	check(Names, `["a","b"]`, `["b","a"]`, "")
	check(Names, `["a","b"]`, `["a","c"]`, "1 entries are missing, 1 are too many")
	check(Names, `[{"a":"1"},{"a":"2"}]`, `[{"a":"2","shard":"1"},{"a":"1"}]`, "")
	check(Names, `[{"a":"1"}]`, `[{"a":"1","shard":"1"},{"a":"1","shard":"0"}]`, "2 entries for 1")
}

func TestReadRefusesHalfAnswers(t *testing.T) {
	for _, body := range []string{
		`{"status":"error","error":"no"}`,
		`{"status":"success","warnings":["a store is down"],"data":{"resultType":"vector","result":[]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"shard":"0"},"value":[1,"3"]},{"metric":{"shard":"1"},"value":[1,"3"]}]}}`,
		`{"status":"success","data":{"resultType":"string","result":[1,"a"]}}`,
		`<html>`,
	} {
		_, err := Read(Query{Name: "x"}, [][]byte{[]byte(body)})
		require.Error(t, err, body)
	}
}
