{{/* A VictoriaMetrics single node in a Prometheus server's place: with its name, its port and its volume.
     hubring.victoria: whether servers are such, "true" or nothing. */}}
{{- define "hubring.victoria" -}}
{{- if eq .Values.shard.kind "victoriametrics" }}true{{ end -}}
{{- end -}}

{{/* hubring.victoriaContainer: call with (dict "root" $ "replica" "a"). */}}
{{- define "hubring.victoriaContainer" -}}
{{- $lifecycle := include "hubring.handoverLifecycle" . -}}
{{- with .root -}}
{{- $victoria := .Values.victoriametrics -}}
- name: victoriametrics
  image: {{ include "hubring.image" (dict "image" $victoria.image "tag" "") | quote }}
  imagePullPolicy: {{ $victoria.image.pullPolicy }}
  {{- include "hubring.podName" . | nindent 2 }}
  args:
    - --promscrape.config=/etc/prometheus/config/$(POD_NAME).yml
    # Left to itself it reads it once.
    - --promscrape.configCheckInterval=30s
    - --httpListenAddr=:9090
    {{- if .Values.web.tls }}
    - --tls
    - --tlsCertFile=/etc/hubring/web/{{ $victoria.certFile }}
    - --tlsKeyFile=/etc/hubring/web/{{ $victoria.keyFile }}
    {{- end }}
    {{- with .Values.web.username }}
    - {{ printf "--httpAuth.username=%s" . | quote }}
    - --httpAuth.password=file:///etc/hubring/client/password
    {{- end }}
    # A folder of its own, since a Prometheus may have been here before.
    - --storageDataPath=/storage/victoriametrics
    - --retentionPeriod={{ div (include "hubring.seconds" .Values.prometheus.retention | int) 3600 }}h
    # What comes twice, after a connection that broke, counts once.
    - --dedup.minScrapeInterval=1ms
    # By itself it answers for half a minute ago, and a query over all shards would be of two times.
    - --search.latencyOffset=0s
    # By itself it looks back over a series' interval in ranges, and Prometheus over five minutes.
    - --search.minStalenessInterval=5m
    - --search.maxQueryDuration={{ .Values.query.timeout }}
    {{- range $victoria.extraArgs }}
    - {{ quote . }}
    {{- end }}
  {{- $lifecycle | nindent 2 }}
  ports:
    - {name: http, containerPort: 9090, protocol: TCP}
  {{- include "hubring.probes" (dict "root" . "port" "http") | nindent 2 }}
  resources:
    {{- toYaml .Values.prometheus.resources | nindent 4 }}
  {{- include "hubring.containerSecurity" . | nindent 2 }}
  volumeMounts:
    - {name: config, mountPath: /etc/prometheus/config, readOnly: true}
    - {name: data, mountPath: /storage}
    {{- include "hubring.webMount" . | nindent 4 }}
    {{- include "hubring.webClientMount" . | nindent 4 }}
{{- end -}}
{{- end -}}
