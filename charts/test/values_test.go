package charttest

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/engine"
)

// allParts is a release with all parts but those of other modes, in which each value means something.
const allParts = `
prometheus_servers_count: 2
prometheus_replicas: 2
create_thanos: true
query: {replicas: 2}
placement: {enabled: true}
edgehub: {persistence: {enabled: true}, pushgateway: {enabled: true}}
prometheus: {retired: 1}
alertmanager: {enabled: true, replicas: 2}
thanos: {query: {replicas: 2}, queryFrontend: {enabled: true}, ruler: {replicas: 2}, store: {replicas: 2}}
objectStorage: {enabled: true, existingSecret: bucket, volume: {emptyDir: {}}}
web: {configSecret: served, pushConfigSecret: pushed, tls: true, clientSecret: asking, username: hubring, clientCertificate: true, serverName: hubring.example.org}
networkPolicy: {enabled: true, pushers: [{podSelector: {}}], monitors: [{podSelector: {}}]}
serviceMonitor: {enabled: true}
podMonitor: {enabled: true}
dashboards: {enabled: true}`

// others are values unlike those in allParts, by the end of their path. A list of two is what there is before,
// and after.
var others = map[string][]string{
	"prometheus_servers_count":   {`3`},
	"prometheus_replicas":        {`1`},
	"create_thanos":              {`{}`, `{create_thanos: true}`},
	"query.enabled":              {`{}`, `{query: {enabled: true}}`},
	"query.mode":                 {`thanos`},
	"shard.kind":                 {fiveShards, victoria},
	"archiveAfter":               {`36h`},
	"placement.base":             {`consistent`},
	"query.timeout":              {`61s`},
	"handover.enabled":           {`{edgehub: {handover: {enabled: false}}}`, `{}`},
	"handover.seconds":           {`{}`, `{edgehub: {handover: {seconds: 61}}}`},
	"distributed.enabled":        {`{create_thanos: true}`, distributed},
	"distributed.resources":      {distributed, join2(distributed, `{thanos: {query: {distributed: {resources: {requests: {cpu: 7m}}}}}}`)},
	"ruler.retention":            {join2(fiveShards, withQuerier), join2(join2(fiveShards, withQuerier), `{thanos: {ruler: {retention: 9d}}}`)},
	"imagePullSecrets":           {`[{name: x}]`},
	"prometheus.image.tag":       {`v3.14.0`},
	"digest":                     {someDigest},
	"pullPolicy":                 {`Always`},
	"limitPolicy":                {`newest`},
	"storage.sync":               {`always`},
	"maxAge":                     {`50m`},
	"maxAhead":                   {`5m`},
	"logLevel":                   {`debug`},
	"logFormat":                  {`json`},
	"extraArgs":                  {`[--some.flag]`},
	"goMemoryLimit":              {`1GiB`},
	"separateScrapePort":         {`{}`, `{edgehub: {separateScrapePort: false}}`},
	"tolerations":                {`[{key: x}]`},
	"topologySpreadConstraints":  {`[{maxSkew: 3}]`},
	"resources":                  {`{requests: {cpu: 7m}}`},
	"scrapeInterval":             {`20s`},
	"scrapeTimeout":              {`13s`},
	"nativeHistograms":           {`false`},
	"scrapeProtocols":            {`[PrometheusText1.0.0]`},
	"gatewaysInterval":           {`2m`},
	"evaluationInterval":         {`31s`},
	"outOfOrderTimeWindow":       {`2h`},
	"responseTimeout":            {`31s`},
	"prometheus.retention":       {`9d`},
	"alertmanager.retention":     {`99h`},
	"retentionRaw":               {`91d`},
	"retention5m":                {`92d`},
	"retention1h":                {`93d`},
	"retentionSize":              {`7GB`},
	"remoteWrite":                {`[{url: "http://x"}]`},
	"externalURL":                {`http://x`},
	"queryURL":                   {`http://x`},
	"secrets":                    {`[x]`},
	"size":                       {`9Gi`},
	"accessModes":                {`[ReadWriteOncePod]`},
	"maxUnavailable":             {`2`},
	"cacheSize":                  {`64MB`},
	"partialResponse":            {`false`},
	"ruler.partialResponse":      {`abort`},
	"web.tls":                    {`{web: {configSecret: served, clientSecret: asking}}`, `{web: {configSecret: served, clientSecret: asking, tls: true}}`},
	"rules.groups":               {`[{name: x, rules: []}]`},
	"rules.configMaps":           {`[x]`},
	"rules.volume":               {`{emptyDir: {}}`},
	"alertmanager.existingURLs":  {`{}`, `{alertmanager: {existingURLs: ["http://x"]}}`},
	"config":                     {`{route: {receiver: x}}`},
	"objectStorage.config":       {`{create_thanos: true, objectStorage: {enabled: true, config: {type: S3}}}`, `{create_thanos: true, objectStorage: {enabled: true, config: {type: GCS}}}`},
	"objectStorage.volume":       {`{hostPath: {path: /x}}`},
	"mountPath":                  {`/x`},
	"networkPolicy.pushers":      {`[{podSelector: {matchLabels: {a: b}}}]`},
	"networkPolicy.queriers":     {`[{podSelector: {matchLabels: {a: b}}}]`},
	"networkPolicy.monitors":     {`[{podSelector: {matchLabels: {a: b}}}]`},
	"interval":                   {`31s`},
	"retired":                    {`2`},
	"alertmanager.replicas":      {`3`},
	"commonLabels":               {`{some: thing}`},
	"externalLabels":             {`{some: thing}`},
	"labels":                     {`{some: thing}`},
	"podLabels":                  {`{some: thing}`},
	"annotations":                {`{some: thing}`},
	"podAnnotations":             {`{some: thing}`},
	"nodeSelector":               {`{some: thing}`},
	"affinity":                   {`{nodeAffinity: {some: thing}}`},
	"groupTTL":                   {`24h`},
	"networkPolicy.groupPushers": {`[{podSelector: {matchLabels: {a: b}}}]`},
}

// Every value changes something of a release that has all parts.
func TestEveryValueIsHeard(t *testing.T) {
	rendered := map[string]map[string]string{}
	for _, row := range tableRows(t) {
		t.Run(row.path, func(t *testing.T) {
			before, after := beforeAndAfter(row)
			key := strings.Join(before, "\n")
			if rendered[key] == nil { // mostly the same
				rendered[key] = templates(t, before...)
			}
			assert.False(t, maps.Equal(rendered[key], templates(t, after...)), "%s changes nothing", after)
		})
	}
}

// beforeAndAfter returns two lists of values that differ in one.
func beforeAndAfter(r row) (before, after []string) {
	set := func(to string) string {
		keys := strings.Split(r.path, ".")
		return "{" + strings.Join(keys, ": {") + ": " + to + strings.Repeat("}", len(keys))
	}
	switch other := otherThan(r); {
	case len(other) == 2:
		return strings.Split(other[0], "\n---\n"), strings.Split(other[1], "\n---\n")
	case strings.HasPrefix(r.path, "victoriametrics."):
		return []string{victoria, lockedVictoria}, []string{victoria, lockedVictoria, set(other[0])}
	case r.value == "true", r.value == "false":
		return []string{allParts, set("false")}, []string{allParts, set("true")}
	default:
		return []string{allParts}, []string{allParts, set(other[0])}
	}
}

// otherThan returns another value than a row's.
func otherThan(r row) []string {
	for end := r.path; end != ""; _, end, _ = strings.Cut(end, ".") {
		if other, there := others[end]; there {
			return other
		}
	}
	if r.value != "" && strings.Trim(r.value, "0123456789") == "" {
		return []string{r.value + "1"}
	}
	return []string{"other"}
}

// checksum is an annotation that changes with values which nothing else may have read.
var checksum = regexp.MustCompile(`(?m)^ *checksum/.*$`)

// templates returns what Helm would apply, as text: what is not all of Kubernetes' own will do here.
func templates(t *testing.T, values ...string) map[string]string {
	t.Helper()
	loaded, err := loadChart()
	require.NoError(t, err)
	top, err := renderValues(loaded, releaseName, values)
	require.NoError(t, err)
	files, err := engine.Engine{}.Render(loaded, top)
	require.NoError(t, err, fmt.Sprint(values))
	for path, text := range files {
		files[path] = checksum.ReplaceAllString(text, "")
		if filepath.Base(path) == "NOTES.txt" {
			delete(files, path)
		}
	}
	return files
}
