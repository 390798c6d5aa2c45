{{/* hubring.sidecar: the container beside a Prometheus. Call with (dict "root" $ "replica" "a"). */}}
{{- define "hubring.sidecar" -}}
{{- $lifecycle := include "hubring.handoverLifecycle" . -}}
{{- with .root -}}
- name: thanos-sidecar
  image: {{ include "hubring.image" (dict "image" .Values.thanos.image "tag" "") | quote }}
  imagePullPolicy: {{ .Values.thanos.image.pullPolicy }}
  args:
    - sidecar
    - --prometheus.url={{ include "hubring.scheme" . }}://localhost:9090
    {{- if include "hubring.localConfig" . }}
    - --prometheus.http-client-file=/etc/hubring/localhost/http.yml
    {{- end }}
    # Both start at once, and a sidecar that finds no Prometheus yet asks again after so long.
    - --prometheus.get_config_interval=5s
    - --tsdb.path=/prometheus
    - --grpc-address=:10901
    - --http-address=:10902
    {{- include "hubring.thanosWeb" . | nindent 4 }}
    {{- if .Values.objectStorage.enabled }}
    - {{ include "hubring.bucketFlag" . }}
    {{- end }}
    - --log.level={{ .Values.thanos.logLevel }}
    {{- range .Values.thanos.sidecar.extraArgs }}
    - {{ quote . }}
    {{- end }}
  {{- $lifecycle | nindent 2 }}
  ports:
    - {name: grpc, containerPort: 10901, protocol: TCP}
    - {name: http-sidecar, containerPort: 10902, protocol: TCP}
  {{- include "hubring.probes" (dict "root" . "port" "http-sidecar" "grpc" 10901) | nindent 2 }}
  resources:
    {{- toYaml .Values.thanos.sidecar.resources | nindent 4 }}
  {{- include "hubring.containerSecurity" . | nindent 2 }}
  volumeMounts:
    - {name: data, mountPath: /prometheus}
    {{- if .Values.objectStorage.enabled }}
    {{- include "hubring.bucketMounts" . | nindent 4 }}
    {{- end }}
    {{- include "hubring.webMount" . | nindent 4 }}
    {{- include "hubring.webClientMount" . | nindent 4 }}
    {{- include "hubring.localMount" . | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* hubring.queryURL: where people ask. Within the cluster only, unless a value says better. */}}
{{- define "hubring.queryURL" -}}
{{- $inside := printf "%s://%s" (include "hubring.scheme" .) (include "hubring.queryAddress" .) -}}
{{- default $inside .Values.thanos.ruler.queryURL -}}
{{- end -}}

{{/* hubring.endpoint: whom a querier asks, in any case: strict. Thanos forgets others as soon as they do not
     answer, and then the answer lacks a part and nobody is told. Only what is named can be strict. Call with
     (dict "root" $ "service" "prometheus" "pod" "prometheus-b-2"), or without a pod for one whose pods all
     have the same: a group, of which one is asked. */}}
{{- define "hubring.endpoint" -}}
{{- $name := printf "%s-%s.%s:10901" (include "hubring.fullname" .root) .service (include "hubring.domain" .root) -}}
{{- with get . "pod" }}{{ $name = printf "%s-%s.%s" (include "hubring.fullname" $.root) . $name }}{{ end -}}
{{- $endpoint := dict "address" $name "strict" true -}}
{{- if not (get . "pod") }}{{ $endpoint = set $endpoint "group" true }}{{ end -}}
{{- toJson $endpoint -}}
{{- end -}}

{{/* hubring.shardEndpoints: the flag of a shard's querier, which knows its number. */}}
{{- define "hubring.shardEndpoints" -}}
{{- $endpoints := list -}}
{{- range $replica := include "hubring.replicas" . | fromJsonArray -}}
{{- $pod := printf "%s-$(SHARD)" (include "hubring.prometheusName" $replica) -}}
{{- $endpoints = append $endpoints (include "hubring.endpoint" (dict "root" $ "service" "prometheus" "pod" $pod) | fromJson) -}}
{{- end -}}
{{- if .Values.objectStorage.enabled -}}
{{- $endpoints = append $endpoints (include "hubring.endpoint" (dict "root" . "service" "thanos-store") | fromJson) -}}
{{- end -}}
--endpoint.sd-config={{ dict "endpoints" $endpoints | toJson }}
{{- end -}}

{{/* hubring.globalEndpoints: those that belong to no server, a YAML list. */}}
{{- define "hubring.globalEndpoints" -}}
{{- range $i := until (int .Values.thanos.ruler.replicas) }}
- {{ include "hubring.endpoint" (dict "root" $ "service" "thanos-rule" "pod" (printf "thanos-rule-%d" $i)) }}
{{- end }}
{{- if .Values.objectStorage.enabled }}
- {{ include "hubring.endpoint" (dict "root" . "service" "thanos-store") }}
{{- end }}
{{- end -}}

{{/* Object storage. hubring.bucketFlag: where a component finds the bucket's configuration. */}}
{{- define "hubring.bucketFlag" -}}
--objstore.config-file=/etc/hubring/objstore/{{ .Values.objectStorage.secretKey }}
{{- end -}}

{{/* hubring.bucketMounts, hubring.bucketVolumes: the configuration, and the bucket itself where it is a folder. */}}
{{- define "hubring.bucketMounts" -}}
- {name: objstore, mountPath: /etc/hubring/objstore, readOnly: true}
{{- if .Values.objectStorage.volume }}
- {name: bucket, mountPath: {{ .Values.objectStorage.mountPath }}}
{{- end }}
{{- end -}}

{{- define "hubring.bucketVolumes" -}}
- name: objstore
  secret: {secretName: {{ default (printf "%s-objstore" (include "hubring.fullname" .)) .Values.objectStorage.existingSecret }}}
{{- with .Values.objectStorage.volume }}
- name: bucket
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* hubring.bucketChecksum: an annotation. Thanos reads the configuration once, so a new one starts it anew. */}}
{{- define "hubring.bucketChecksum" -}}
checksum/objstore: {{ toJson .Values.objectStorage | sha256sum }}
{{- end -}}

{{/* hubring.budget: for pods of which there are several. Call with (dict "root" $ "name" "thanos-query" "replicas" 2). */}}
{{- define "hubring.budget" -}}
{{- if gt (int .replicas) 1 -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "hubring.metadata" (dict "root" .root "component" .name "name" .name) | nindent 2 }}
spec:
  maxUnavailable: 1
  # A pod that does not work anyhow is no reason to keep a node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "hubring.selectorLabels" (dict "root" .root "component" .name) | nindent 6 }}
{{- end -}}
{{- end -}}

{{/* What the first Prometheus server scrapes beside its hub. hubring.watchJobs: the jobs. Pods of
     StatefulSets are named, so that one that is not there is one that is down. */}}
{{- define "hubring.watchJobs" -}}
{{- $v := .Values -}}
{{ include "hubring.watchPods" (dict "root" . "job" "thanos-rule" "name" "thanos-rule" "replicas" $v.thanos.ruler.replicas "port" 10902) }}
{{ include "hubring.watchPods" (dict "root" . "job" "rulekeeper" "name" "thanos-rule" "replicas" $v.thanos.ruler.replicas "port" 10903) }}
{{- if include "hubring.shards" . }}
{{ include "hubring.watchService" (dict "root" . "job" "hubquery" "name" "query-pods") }}
{{- else }}
{{ include "hubring.watchService" (dict "root" . "job" "thanos-query" "name" "thanos-query-pods") }}
{{- end }}
{{- if include "hubring.archive" . }}
{{ include "hubring.watchService" (dict "root" . "job" "thanos-query-archive" "name" "thanos-query-archive-pods") }}
{{- end }}
{{- if include "hubring.distributed" . }}
{{ include "hubring.watchPods" (dict "root" . "job" "thanos-query-shard" "name" "thanos-query-shard" "replicas" (include "hubring.servers" .) "port" 10902) }}
{{ include "hubring.watchService" (dict "root" . "job" "thanos-query-global" "name" "thanos-query-global") }}
{{- end }}
{{- if $v.thanos.queryFrontend.enabled }}
{{ include "hubring.watchService" (dict "root" . "job" "thanos-query-frontend" "name" "thanos-query-frontend-pods") }}
{{- end }}
{{- if $v.objectStorage.enabled }}
{{ include "hubring.watchPods" (dict "root" . "job" "thanos-store" "name" "thanos-store" "replicas" $v.thanos.store.replicas "port" 10902) }}
{{ include "hubring.watchPods" (dict "root" . "job" "thanos-compact" "name" "thanos-compact" "replicas" 1 "port" 10902) }}
{{- end }}
{{- if $v.alertmanager.enabled }}
{{ include "hubring.watchPods" (dict "root" . "job" "alertmanager" "name" "alertmanager" "replicas" $v.alertmanager.replicas "port" 9093) }}
{{- end }}
{{- end -}}

{{- define "hubring.watchPods" -}}
{{- $service := printf "%s-%s" (include "hubring.fullname" .root) .name -}}
- job_name: {{ .job }}
  {{- include "hubring.scrapeWeb" .root | nindent 2 }}
  static_configs:
    {{- range $i := until (int .replicas) }}
    - {targets: ["{{ $service }}-{{ $i }}.{{ $service }}.{{ include "hubring.domain" $.root }}:{{ $.port }}"], labels: {instance: {{ $service }}-{{ $i }}}}
    {{- end }}
{{- end -}}

{{- define "hubring.watchService" -}}
- job_name: {{ .job }}
  {{- include "hubring.scrapeWeb" .root | nindent 2 }}
  dns_sd_configs: [{names: [_http._tcp.{{ include "hubring.fullname" .root }}-{{ .name }}.{{ include "hubring.domain" .root }}], type: SRV}]
{{- end -}}

{{/* hubring.rulekeeper: the container that checks rules and has the ruler load them, or, once, the one that
     runs before the ruler. Call with (dict "root" $ "once" true). */}}
{{- define "hubring.rulekeeper" -}}
{{- $keeper := .root.Values.thanos.ruler.rulekeeper -}}
- name: rulekeeper{{ if .once }}-once{{ end }}
  image: {{ include "hubring.image" (dict "image" $keeper.image "tag" .root.Chart.AppVersion) | quote }}
  imagePullPolicy: {{ $keeper.image.pullPolicy }}
  args:
    {{- range include "hubring.rulePatterns" .root | fromJsonArray }}
    - --rules={{ . }}
    {{- end }}
    - --to=/data/rules
    - --partial-response={{ .root.Values.thanos.ruler.partialResponse }}
    {{- if .once }}
    - --once
    {{- else }}
    - --reload-url={{ include "hubring.scheme" .root }}://localhost:10902/-/reload
    - --web.listen-address=:10903
    {{- if include "hubring.localConfig" .root }}
    - --reload-http-config=/etc/hubring/localhost/http.yml
    {{- end }}
    {{- if .root.Values.web.configSecret }}
    - --web.config.file=/etc/hubring/web/web.yml
    {{- end }}
    {{- end }}
    {{- range $keeper.extraArgs }}
    - {{ quote . }}
    {{- end }}
  {{- if not .once }}
  ports:
    - {name: http-keeper, containerPort: 10903, protocol: TCP}
  {{- include "hubring.probes" (dict "root" .root "port" "http-keeper") | nindent 2 }}
  {{- end }}
  resources:
    {{- toYaml $keeper.resources | nindent 4 }}
  {{- include "hubring.containerSecurity" .root | nindent 2 }}
  volumeMounts:
    - {name: data, mountPath: /data}
    {{- include "hubring.ruleMounts" .root | nindent 4 }}
    {{- if not .once }}
    {{- include "hubring.webMount" .root | nindent 4 }}
    {{- include "hubring.webClientMount" .root | nindent 4 }}
    {{- include "hubring.localMount" .root | nindent 4 }}
    {{- end }}
{{- end -}}
