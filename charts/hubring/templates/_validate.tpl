{{/* hubring.count: fails unless a value is a whole number within bounds, and says what to
     do. Call with (dict "name" "x" "value" .Values.x "least" 1 "most" 9 "hint" "..."). */}}
{{- define "hubring.count" -}}
{{- $hint := printf "%s is %s: set it to a whole number from %d to %d, %s" .name (toJson .value) .least .most .hint -}}
{{- if not (has (kindOf .value) (list "int" "int64" "float64")) -}}
{{- fail $hint -}}
{{- end -}}
{{- if or (ne (float64 .value) (floor .value)) (lt (float64 .value) (float64 .least)) (gt (float64 .value) (float64 .most)) -}}
{{- fail $hint -}}
{{- end -}}
{{- end -}}

{{/* hubring.validateDurations: a schema would answer with a regular expression. Go's durations, which edgehub and
     Alertmanager read, have no days. */}}
{{- define "hubring.validateDurations" -}}
{{- $v := .Values -}}
{{- range $name, $value := dict "edgehub.pushgateway.groupTTL" $v.edgehub.pushgateway.groupTTL "edgehub.maxAge" $v.edgehub.maxAge "edgehub.maxAhead" $v.edgehub.maxAhead "alertmanager.retention" $v.alertmanager.retention -}}
{{- if not (regexMatch "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$" $value | and $value) -}}
{{- fail (printf "%s is %q: write a duration such as 30s, 90m or 1h30m" $name $value) -}}
{{- end -}}
{{- end -}}
{{- $durations := dict
  "prometheus.scrapeInterval" $v.prometheus.scrapeInterval
  "prometheus.scrapeTimeout" $v.prometheus.scrapeTimeout
  "prometheus.gatewaysInterval" $v.prometheus.gatewaysInterval
  "prometheus.evaluationInterval" $v.prometheus.evaluationInterval
  "prometheus.outOfOrderTimeWindow" $v.prometheus.outOfOrderTimeWindow
  "prometheus.retention" $v.prometheus.retention
  "thanos.compact.retentionRaw" $v.thanos.compact.retentionRaw
  "thanos.compact.retention5m" $v.thanos.compact.retention5m
  "thanos.compact.retention1h" $v.thanos.compact.retention1h
  "thanos.ruler.evaluationInterval" $v.thanos.ruler.evaluationInterval
  "thanos.ruler.retention" $v.thanos.ruler.retention
  "placement.maxAge" $v.placement.maxAge
  "serviceMonitor.interval" $v.serviceMonitor.interval
  "podMonitor.interval" $v.podMonitor.interval -}}
{{- range $name, $value := $durations -}}
{{- if not (regexMatch "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$" $value | and $value) -}}
{{- fail (printf "%s is %q: write a duration such as 15s, 90m or 15d" $name $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* hubring.validatePlacement: how the hubs become a ring, as exporters read it. */}}
{{- define "hubring.validatePlacement" -}}
{{- $base := .Values.placement.base -}}
{{- $fine := regexMatch "^(|rendezvous|consistent(/(partitions=[1-9][0-9]{0,6}|replicas=[1-9][0-9]{0,3}|load=[0-9]+([.][0-9]+)?))*)$" $base -}}
{{- range $name, $most := dict "partitions" 1048576 "replicas" 4096 "load" 1000000 -}}
{{- $all := regexFindAll (printf "%s=[0-9]+" $name) $base -1 -}}
{{- range $all -}}
{{- $fine = and $fine (eq (len $all) 1) (le (int64 (trimPrefix (printf "%s=" $name) .)) (int64 $most)) -}}
{{- end -}}
{{- end -}}
{{- if not $fine -}}
{{- fail (printf "placement.base is %q: leave it empty, or write rendezvous or consistent, the latter with parameters as in consistent/partitions=20011/replicas=200/load=1.25, each at most once, up to 1048576 partitions and 4096 replicas" $base) -}}
{{- end -}}
{{- end -}}

{{/* hubring.validate: what the schema cannot say, or not in a sentence. The hubs' StatefulSet
     includes it, which every release has. */}}
{{- define "hubring.validate" -}}
{{- $v := .Values -}}
{{- $global := include "hubring.global" . -}}
{{- include "hubring.count" (dict "name" "prometheus_servers_count" "value" $v.prometheus_servers_count "least" 1 "most" 500 "hint" "one for each hub and its Prometheus server") -}}
{{- include "hubring.count" (dict "name" "prometheus_replicas" "value" $v.prometheus_replicas "least" 1 "most" 2 "hint" "2 for a pair of Prometheus servers on each hub") -}}
{{- if not (kindIs "bool" $v.create_thanos) -}}
{{- fail (printf "create_thanos is %s: set it to true or false, without quotes" (toJson $v.create_thanos)) -}}
{{- end -}}
{{- if and (gt (int $v.prometheus_servers_count) 1) (not $global) -}}
{{- fail (printf "prometheus_servers_count is %d and query.enabled is false: no query would see all servers; set query.enabled (or create_thanos, its old name) to true, or prometheus_servers_count to 1" (int $v.prometheus_servers_count)) -}}
{{- end -}}
{{- include "hubring.validateQuery" . -}}
{{- include "hubring.validateVictoria" . -}}
{{- include "hubring.validateDurations" . -}}
{{- include "hubring.validatePlacement" . -}}
{{- include "hubring.validateLabels" . -}}
{{- include "hubring.validateImages" . -}}
{{- if and $v.prometheus.retired (not $global) -}}
{{- fail (printf "prometheus.retired is %d and query.enabled is false: nobody would query those servers; set query.enabled to true, or prometheus.retired to 0" (int $v.prometheus.retired)) -}}
{{- end -}}
{{- include "hubring.validatePrometheus" . -}}
{{- include "hubring.validateAlerting" . -}}
{{- include "hubring.validateBucket" . -}}
{{- include "hubring.validateWeb" . -}}
{{- include "hubring.validateMonitors" . -}}
{{- if and $v.networkPolicy.enabled (not $v.networkPolicy.pushers) -}}
{{- fail "networkPolicy.enabled is true and networkPolicy.pushers is empty: nobody could push to a hub; list the controllers' pods there" -}}
{{- end -}}
{{- if and $v.networkPolicy.groupPushers (not $v.edgehub.pushgateway.enabled) -}}
{{- fail "networkPolicy.groupPushers is not empty and edgehub.pushgateway.enabled is false: no hub would take what they push; set edgehub.pushgateway.enabled to true, or list them in networkPolicy.pushers" -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled (or $v.serviceMonitor.enabled $v.podMonitor.enabled) (not $v.networkPolicy.monitors) -}}
{{- fail "networkPolicy.enabled is true and networkPolicy.monitors is empty: nobody could scrape what serviceMonitor and podMonitor are for; list the operator's Prometheus pods there" -}}
{{- end -}}
{{- if and $v.thanos.queryFrontend.enabled (not $global) -}}
{{- fail "thanos.queryFrontend.enabled is true and query.enabled is false: set query.enabled to true, or leave the query frontend out" -}}
{{- end -}}
{{- end -}}

{{/* hubring.validateQuery: the mode of queries, and what belongs to one. */}}
{{- define "hubring.validateQuery" -}}
{{- $v := .Values -}}
{{- $distributed := $v.thanos.query.distributed.enabled -}}
{{- if and $distributed (not (include "hubring.global" .)) -}}
{{- fail "thanos.query.distributed.enabled is true and query.enabled is false: set query.enabled to true, or leave it out" -}}
{{- end -}}
{{- if and $distributed $v.query.mode (ne $v.query.mode "thanos-distributed") -}}
{{- fail (printf "thanos.query.distributed.enabled is true and query.mode is %s: the former is the old name of query.mode: thanos-distributed; leave it out, or query.mode empty" $v.query.mode) -}}
{{- end -}}
{{- if and $v.query.mode (not (include "hubring.global" .)) -}}
{{- fail (printf "query.mode is %s and query.enabled is false: set query.enabled to true, or leave query.mode empty" $v.query.mode) -}}
{{- end -}}
{{- if ge (int (include "hubring.seconds" $v.query.responseTimeout)) (int (include "hubring.seconds" $v.query.timeout)) -}}
{{- fail (printf "query.responseTimeout is %s, no shorter than query.timeout, %s: a server that hangs would take all of a query's time; make it shorter" $v.query.responseTimeout $v.query.timeout) -}}
{{- end -}}
{{- if $v.query.archiveAfter -}}
{{- if not (include "hubring.archive" .) -}}
{{- fail (printf "query.archiveAfter is %s and there is no bucket that hubquery asks: it is for objectStorage.enabled and query.mode shards; leave it empty" $v.query.archiveAfter) -}}
{{- end -}}
{{- $after := int (include "hubring.seconds" $v.query.archiveAfter) -}}
{{- if or (lt $after 14400) (gt $after (int (include "hubring.seconds" $v.prometheus.retention))) -}}
{{- fail (printf "query.archiveAfter is %s: make it 4h or more, since blocks are in the bucket up to four hours after their first sample, and no more than prometheus.retention, %s" $v.query.archiveAfter $v.prometheus.retention) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* hubring.validateVictoria: what a VictoriaMetrics in a Prometheus' place cannot do. */}}
{{- define "hubring.validateVictoria" -}}
{{- $v := .Values -}}
{{- if include "hubring.victoria" . -}}
{{- if not (include "hubring.global" .) -}}
{{- fail "shard.kind is victoriametrics and query.enabled is false: VictoriaMetrics evaluates no rules, so no alert would fire; set query.enabled to true for a ruler, or shard.kind to prometheus" -}}
{{- end -}}
{{- if include "hubring.querier" . -}}
{{- fail (printf "shard.kind is victoriametrics and query.mode is %s: a Thanos sidecar reads a Prometheus only; set query.mode to shards, or shard.kind to prometheus" (include "hubring.mode" .)) -}}
{{- end -}}
{{- if $v.objectStorage.enabled -}}
{{- fail "shard.kind is victoriametrics and objectStorage.enabled is true: VictoriaMetrics has no blocks that a sidecar could upload; keep them longer with prometheus.retention, or set shard.kind to prometheus" -}}
{{- end -}}
{{- if $v.prometheus.remoteWrite -}}
{{- fail "shard.kind is victoriametrics and prometheus.remoteWrite is not empty: a single node forwards nothing; leave it out, or set shard.kind to prometheus" -}}
{{- end -}}
{{- if $v.prometheus.externalLabels -}}
{{- fail "shard.kind is victoriametrics and prometheus.externalLabels is not empty: VictoriaMetrics would store them with every sample; leave them out, or set shard.kind to prometheus" -}}
{{- end -}}
{{- if not (has (toString $v.prometheus.retentionSize) (list "" "0")) -}}
{{- fail (printf "shard.kind is victoriametrics and prometheus.retentionSize is %s: VictoriaMetrics keeps what prometheus.retention says, whatever its size; leave it empty, and make the volume large enough" $v.prometheus.retentionSize) -}}
{{- end -}}
{{- if lt (int (include "hubring.seconds" $v.prometheus.retention)) 86400 -}}
{{- fail (printf "shard.kind is victoriametrics and prometheus.retention is %s: VictoriaMetrics keeps a day at the least; make it 1d or more" $v.prometheus.retention) -}}
{{- end -}}
{{- if $v.prometheus.extraArgs -}}
{{- fail "shard.kind is victoriametrics and prometheus.extraArgs is not empty: those are flags of Prometheus; use victoriametrics.extraArgs" -}}
{{- end -}}
{{- if $v.prometheus.externalURL -}}
{{- fail "shard.kind is victoriametrics and prometheus.externalURL is not empty: VictoriaMetrics sends no alerts that could link to it; use thanos.ruler.queryURL" -}}
{{- end -}}
{{- if $v.web.clientCertificate -}}
{{- fail "shard.kind is victoriametrics and web.clientCertificate is true: VictoriaMetrics asks for none; set it to false, or shard.kind to prometheus" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* hubring.validateLabels: labels that the chart sets itself. Selectors need those of pods and can never be
     changed. */}}
{{- define "hubring.validateLabels" -}}
{{- $v := .Values -}}
{{- $selecting := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "prometheus-replica" -}}
{{- $describing := list "app.kubernetes.io/version" "app.kubernetes.io/part-of" "app.kubernetes.io/managed-by" "helm.sh/chart" -}}
{{- range $name, $labels := dict "edgehub.podLabels" $v.edgehub.podLabels "prometheus.podLabels" $v.prometheus.podLabels "query.podLabels" $v.query.podLabels "placement.podLabels" $v.placement.podLabels -}}
{{- include "hubring.freeLabels" (dict "name" $name "labels" $labels "taken" $selecting) -}}
{{- end -}}
{{- range $name, $labels := dict "commonLabels" $v.commonLabels "serviceMonitor.labels" $v.serviceMonitor.labels "podMonitor.labels" $v.podMonitor.labels "dashboards.labels" $v.dashboards.labels -}}
{{- include "hubring.freeLabels" (dict "name" $name "labels" $labels "taken" (concat $selecting $describing)) -}}
{{- end -}}
{{- end -}}

{{/* hubring.freeLabels: call with (dict "name" "commonLabels" "labels" .Values.commonLabels "taken" (list ...)). */}}
{{- define "hubring.freeLabels" -}}
{{- $name := .name -}}
{{- $taken := .taken -}}
{{- range $label, $_ := .labels -}}
{{- if has $label $taken -}}
{{- fail (printf "%s has %s, which the chart sets itself: choose another name" $name $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* hubring.validateImages: an image without a tag is whatever is the latest today. */}}
{{- define "hubring.validateImages" -}}
{{- $images := dict -}}
{{- if include "hubring.global" . }}{{ $_ := set $images "thanos" .Values.thanos.image }}{{ end -}}
{{- if include "hubring.victoria" . }}{{ $_ := set $images "victoriametrics" .Values.victoriametrics.image }}{{ end -}}
{{- if .Values.alertmanager.enabled }}{{ $_ := set $images "alertmanager" .Values.alertmanager.image }}{{ end -}}
{{- range $name, $image := $images -}}
{{- if not (or $image.tag $image.digest) -}}
{{- fail (printf "%s.image.tag and %s.image.digest are empty: name a release, or the image would be another one every time" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "hubring.validatePrometheus" -}}
{{- $p := .Values.prometheus -}}
{{- $tag := toString $p.image.tag -}}
{{- if and $p.image.digest (not $tag) -}}
{{- fail "prometheus.image.digest is set and prometheus.image.tag is empty: name there the release that the digest is of, since some lose samples" -}}
{{- end -}}
{{- if not (regexMatch "^v?[0-9]+\\.[0-9]+\\.[0-9]+" $tag) -}}
{{- fail (printf "prometheus.image.tag is %q: name a release such as v3.15.0, since some lose samples" $tag) -}}
{{- end -}}
{{- if regexMatch "^v?2\\.(52\\.[0-9]+|53\\.[0-2]|54\\.0)([^0-9]|$)" $tag -}}
{{- fail (printf "prometheus.image.tag is %s: releases 2.52.0 to 2.53.2 and 2.54.0 keep only the first of several samples of a series; use v2.54.1 or later, v3.x" $tag) -}}
{{- end -}}
{{- if and (include "hubring.global" .) (regexMatch "^v?([01]\\.|2\\.([0-9]|[1-4][0-9]|5[0-3])\\.)" $tag) -}}
{{- fail (printf "prometheus.image.tag is %s and query.enabled is true: releases before 2.54.1 are not tried as one of several; use v2.54.1 or later, v3.x" $tag) -}}
{{- end -}}
{{- $e := .Values.edgehub -}}
{{- $late := add (include "hubring.seconds" $e.maxAge) (include "hubring.seconds" $e.maxAhead) -}}
{{- if le (int (include "hubring.seconds" $p.outOfOrderTimeWindow)) (int $late) -}}
{{- fail (printf "prometheus.outOfOrderTimeWindow is %s: it must be longer than edgehub.maxAge and edgehub.maxAhead together (%s and %s), or late samples are lost; make it longer or them shorter" $p.outOfOrderTimeWindow $e.maxAge $e.maxAhead) -}}
{{- end -}}
{{- if gt (int (include "hubring.seconds" $p.scrapeTimeout)) (int (include "hubring.seconds" $p.scrapeInterval)) -}}
{{- fail (printf "prometheus.scrapeTimeout is %s, longer than prometheus.scrapeInterval, %s: make it no longer" $p.scrapeTimeout $p.scrapeInterval) -}}
{{- end -}}
{{- if gt (int (include "hubring.seconds" $p.scrapeTimeout)) (int (include "hubring.seconds" $p.gatewaysInterval)) -}}
{{- fail (printf "prometheus.gatewaysInterval is %s, shorter than prometheus.scrapeTimeout, %s: make it no shorter" $p.gatewaysInterval $p.scrapeTimeout) -}}
{{- end -}}
{{- $keeps := include "hubring.retentionSize" . -}}
{{- if and $keeps $p.persistence.enabled (gt (include "hubring.bytes" $keeps | int64) (include "hubring.bytes" $p.persistence.size | int64)) -}}
{{- fail (printf "prometheus.retentionSize is %s, more than prometheus.persistence.size, %s: make it some 80 %% of the volume, or leave it empty" $keeps $p.persistence.size) -}}
{{- end -}}
{{- range list "shard" "prometheus_replica" "ruler_replica" -}}
{{- if hasKey $p.externalLabels . -}}
{{- fail (printf "prometheus.externalLabels has %s, which the chart sets for each server: choose another name" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "hubring.validateWeb" -}}
{{- $web := .Values.web -}}
{{- $asks := or $web.tls $web.username -}}
{{- if and $asks (not $web.configSecret) -}}
{{- fail "web.tls or web.username is set and web.configSecret is empty: name there the Secret that has web.yml, with which all parts serve" -}}
{{- end -}}
{{- if and $asks (not $web.clientSecret) -}}
{{- fail "web.tls or web.username is set and web.clientSecret is empty: name there the Secret that has ca.crt for web.tls, and password for web.username" -}}
{{- end -}}
{{- if and $web.pushConfigSecret (not .Values.edgehub.separateScrapePort) -}}
{{- fail "web.pushConfigSecret is set and edgehub.separateScrapePort is false: pushes and scrapes are on one port, which has one web.yml; set edgehub.separateScrapePort to true, or leave web.pushConfigSecret out" -}}
{{- end -}}
{{- range list "clientCertificate" "serverName" -}}
{{- if and (get $web .) (not $web.tls) -}}
{{- fail (printf "web.%s is set and web.tls is false: set web.tls to true, or leave web.%s out" . .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A monitor finds pods by their addresses, which no certificate has. */}}
{{- define "hubring.validateMonitors" -}}
{{- if and .Values.web.tls (not .Values.web.serverName) (or .Values.serviceMonitor.enabled .Values.podMonitor.enabled) -}}
{{- fail "serviceMonitor or podMonitor is enabled, web.tls is true and web.serverName is empty: pods are scraped by their addresses, so set web.serverName to a name that all certificates are for" -}}
{{- end -}}
{{- end -}}

{{- define "hubring.validateAlerting" -}}
{{- $a := .Values.alertmanager -}}
{{- if and $a.enabled $a.existingURLs -}}
{{- fail "alertmanager.enabled is true and alertmanager.existingURLs is not empty: choose one of them" -}}
{{- end -}}
{{- range $a.existingURLs -}}
{{- if not (regexMatch "^https?://[^/]+$" .) -}}
{{- fail (printf "alertmanager.existingURLs has %q: write it as http://HOST:PORT or https://HOST:PORT, without a path" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "hubring.validateBucket" -}}
{{- $o := .Values.objectStorage -}}
{{- if $o.enabled -}}
{{- if not (include "hubring.global" .) -}}
{{- fail "objectStorage.enabled is true and query.enabled is false: nobody would query the bucket; set query.enabled to true, or objectStorage.enabled to false" -}}
{{- end -}}
{{- if and $o.existingSecret $o.config -}}
{{- fail "objectStorage has both existingSecret and config: choose one of them" -}}
{{- end -}}
{{- if not (or $o.existingSecret $o.config) -}}
{{- fail "objectStorage.enabled is true, and neither existingSecret nor config says where the bucket is: set one of them" -}}
{{- end -}}
{{- if $o.config -}}
{{- include "hubring.validateBucketConfig" $o -}}
{{- end -}}
{{- $retention := int (include "hubring.seconds" .Values.prometheus.retention) -}}
{{- if lt $retention 21600 -}}
{{- fail (printf "prometheus.retention is %s: with objectStorage make it 6h or more, since a block is uploaded up to four hours after its first sample" .Values.prometheus.retention) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* hubring.validateBucketConfig: call with .Values.objectStorage. */}}
{{- define "hubring.validateBucketConfig" -}}
{{- range $key, $_ := .config -}}
{{- if not (has $key (list "type" "config" "prefix")) -}}
{{- fail (printf "objectStorage.config has %s, which Thanos refuses: it takes type, prefix and config, and what is of the type goes below config" $key) -}}
{{- end -}}
{{- end -}}
{{- $types := list "S3" "GCS" "AZURE" "SWIFT" "COS" "ALIYUNOSS" "BOS" "OCI" "OBS" "FILESYSTEM" -}}
{{- $type := toString (get .config "type") | upper -}}
{{- if not (has $type $types) -}}
{{- fail (printf "objectStorage.config.type is %s: set it to one that Thanos knows, %s" (toJson (get .config "type")) (join ", " $types)) -}}
{{- end -}}
{{- if eq $type "FILESYSTEM" -}}
{{- if not .volume -}}
{{- fail "objectStorage.config.type is FILESYSTEM and objectStorage.volume is empty: each pod would have a bucket of its own; set volume to one that all can write to, such as a ReadWriteMany claim" -}}
{{- end -}}
{{- $directory := toString (get (default dict (get .config "config")) "directory") -}}
{{- if not (or (eq $directory .mountPath) (hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) $directory)) -}}
{{- fail (printf "objectStorage.config.config.directory is %q, which is not in the volume: set it to objectStorage.mountPath, %s, or a folder in it" $directory .mountPath) -}}
{{- end -}}
{{- end -}}
{{- end -}}
