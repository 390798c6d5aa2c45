{{/* hubring.prometheusConfig: the configuration of one server. Call with
     (dict "root" $ "shard" 2 "replica" "a"). */}}
{{- define "hubring.prometheusConfig" -}}
{{- $root := .root -}}
{{- $v := .root.Values -}}
{{- $name := include "hubring.fullname" .root -}}
{{- $pod := printf "%s-%s-%d" $name (include "hubring.prometheusName" .replica) (int .shard) -}}
{{- $victoria := include "hubring.victoria" .root -}}
{{- $global := include "hubring.global" .root }}
global:
  scrape_interval: {{ $v.prometheus.scrapeInterval }}
  scrape_timeout: {{ $v.prometheus.scrapeTimeout }}
  {{- if not $victoria }}
  evaluation_interval: {{ $v.prometheus.evaluationInterval }}
  external_labels:
    {{- with $v.prometheus.externalLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    shard: edgehub-{{ .shard }}
    prometheus_replica: {{ .replica }}
storage:
  tsdb:
    # Samples come late after a failover.
    out_of_order_time_window: {{ $v.prometheus.outOfOrderTimeWindow }}
{{- end }}
{{- $watches := and $global (eq (int .shard) 0) -}}
{{- if $victoria }}
# VictoriaMetrics evaluates no rules, and stores what would be external labels: it has none.
{{- else if $watches }}
# The first server watches who evaluates the other rules.
rule_files: [/etc/hubring/watch/*.yaml]
{{- else if not $global }}
rule_files: {{ include "hubring.rulePatterns" .root }}
{{- end }}
{{- $alertmanagers := include "hubring.alertmanagerURLs" .root | fromJsonArray }}
{{- if and $alertmanagers (or $watches (not $global)) (not $victoria) }}
alerting:
  alert_relabel_configs:
    # An alert of both servers of a pair is one alert, and the ruler's have no shard.
    - {regex: {{ if $watches }}shard|{{ end }}prometheus_replica, action: labeldrop}
  alertmanagers:
    {{- range $alertmanagers }}
    - scheme: {{ regexFind "^https?" . }}
      {{- if $v.alertmanager.enabled }}
      {{- include "hubring.clientConfig" $root | nindent 6 }}
      {{- end }}
      static_configs: [{targets: [{{ regexReplaceAll "^https?://" . "" | quote }}]}]
    {{- end }}
{{- end }}
{{- with $v.prometheus.remoteWrite }}
remote_write:
  {{- toYaml . | nindent 2 }}
{{- end }}
scrape_configs:
  {{- if lt (int .shard) (int $v.prometheus_servers_count) }}
  {{- include "hubring.scrapeHub" . | nindent 2 }}
  - job_name: edgehub-internal
    metrics_path: /internal
    {{- include "hubring.scrapeWeb" $root | nindent 4 }}
    static_configs: [{{ include "hubring.hubTarget" . }}]
  # Which gateways there are, for lists that need not look through all series. Its instance stays: it
  # is the hub.
  - job_name: edgehub-gateways
    metrics_path: /gateways
    {{- include "hubring.scrapeWeb" $root | nindent 4 }}
    scrape_interval: {{ $v.prometheus.gatewaysInterval }}
    static_configs: [{{ include "hubring.hubTarget" . }}]
  {{- end }}
  - job_name: {{ $v.shard.kind }}
    {{- include "hubring.localWeb" $root | nindent 4 }}
    static_configs:
      # Named by the pod: localhost is the same everywhere, and the querier takes shards off.
      - {targets: ["localhost:9090"], labels: {instance: {{ $pod }}}}
  {{- if include "hubring.sidecars" $root }}
  - job_name: thanos-sidecar
    {{- include "hubring.localWeb" $root | nindent 4 }}
    static_configs:
      - {targets: ["localhost:10902"], labels: {instance: {{ $pod }}}}
  {{- end }}
  {{- if include "hubring.peers" .root }}
  # One of a pair is asked for both, so it knows how the other one is.
  {{- include "hubring.scrapePeer" (dict "of" . "job" $v.shard.kind "port" 9090) | nindent 2 }}
  {{- if include "hubring.sidecars" $root }}
  {{- include "hubring.scrapePeer" (dict "of" . "job" "thanos-sidecar" "port" 10902) | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- if $watches }}
  {{- include "hubring.watchJobs" .root | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* hubring.scrapePeer: the other server of a pair, as it scrapes itself. Call with
     (dict "of" (dict "root" $ "shard" 2 "replica" "a") "job" "prometheus" "port" 9090). */}}
{{- define "hubring.scrapePeer" -}}
{{- $name := include "hubring.fullname" .of.root -}}
{{- $pod := printf "%s-%s-%d" $name (include "hubring.prometheusName" (ternary "b" "a" (eq .of.replica "a"))) (int .of.shard) -}}
- job_name: {{ .job }}-peer
  {{- include "hubring.scrapeWeb" .of.root | nindent 2 }}
  static_configs:
    - {targets: ["{{ $pod }}.{{ $name }}-prometheus.{{ include "hubring.domain" .of.root }}:{{ .port }}"], labels: {instance: {{ $pod }}}}
  relabel_configs: [{target_label: job, replacement: {{ .job }}}]
{{- end -}}

{{/* hubring.scrapeProtocols: what hubs are asked for, the best first, or nothing. Releases 2.x do not know the words. A querier
     that takes shards for replicas counts a gateway that moved once anyhow, and finds a new shard a minute or two late: until then
     what ended on the old one would be missing. */}}
{{- define "hubring.scrapeProtocols" -}}
{{- $new := regexMatch "^v?([3-9]|[1-9][0-9]+)\\." (toString .Values.prometheus.image.tag) -}}
{{- if .Values.prometheus.scrapeProtocols }}{{ join ", " .Values.prometheus.scrapeProtocols }}
{{- else if and $new (ne (include "hubring.mode" .) "thanos") }}PrometheusProto, PrometheusText1.0.0, PrometheusText0.0.4
{{- end }}
{{- end -}}

{{/* hubring.scrapeHub: the job that takes the samples of a hub. A part is told by its instance. */}}
{{- define "hubring.scrapeHub" -}}
{{- $v := .root.Values -}}
{{- $name := include "hubring.hubAddress" . -}}
{{- $address := include "hubring.scrapeAddress" . -}}
{{- $parts := int $v.edgehub.parts -}}
{{- $victoria := include "hubring.victoria" .root -}}
- job_name: edgehub
  {{- if $victoria }}
  # Otherwise samples get the time of the scrape, and a series that has fewer of them than in the scrape before
  # counts as ended. And gateways may bring their own job and instance.
  no_stale_markers: true
  {{- else }}
  # A server that refuses one sample throws the whole scrape away. So here and below global there is no sample_limit,
  # body_size_limit, label_limit, label_name_length_limit nor label_value_length_limit; and no
  # convert_classic_histograms_to_nhcb, which loses histograms that come twice in a scrape.
  # Gateways bring their own times, and may bring their own job and instance.
  {{- end }}
  honor_labels: true
  honor_timestamps: true
  {{- $protocols := include "hubring.scrapeProtocols" .root }}
  {{- if and $protocols (not $victoria) }}
  # Protobuf costs a server the least, and only by it a hub can say that a gateway's series end; text costs less than OpenMetrics.
  scrape_protocols: [{{ $protocols }}]
  {{- end }}
  {{- $native := regexMatch "^v?(3\\.([89]|[1-9][0-9]+)|[4-9]|[1-9][0-9]+)\\." (toString $v.prometheus.image.tag) }}
  {{- if and $v.prometheus.nativeHistograms $native (hasPrefix "PrometheusProto" $protocols) (not $victoria) }}
  # Native histograms as they were pushed, and the classic buckets beside them, which a server would leave out then.
  scrape_native_histograms: true
  always_scrape_classic_histograms: true
  {{- end }}
  {{- include "hubring.scrapeWeb" .root | nindent 2 }}
  # Within a cluster bandwidth costs less than compressing.
  {{ if $victoria }}disable_compression: true{{ else }}enable_compression: false{{ end }}
  params:
    cursor: [{{ .replica }}]
    {{- if gt $parts 1 }}
    parts: ["{{ $parts }}"]
    {{- end }}
  {{- if gt $parts 1 }}
  static_configs:
    {{- range $i := untilStep 1 (int (add $parts 1)) 1 }}
    - {targets: ["{{ $address }}"], labels: {instance: "{{ $name }}#{{ $i }}", __param_part: "{{ $i }}"}}
    {{- end }}
  {{- else }}
  static_configs: [{{ include "hubring.hubTarget" . }}]
  {{- end }}
  # A gateway that moves to another hub keeps its series' names, so the hub's
  # own instance and job come off.
  metric_relabel_configs:
    - {source_labels: [instance], regex: '{{ regexQuoteMeta $name }}{{ if gt $parts 1 }}#.+{{ end }}', target_label: instance, replacement: ""}
    - {source_labels: [job], regex: edgehub, target_label: job, replacement: ""}
{{- end -}}
