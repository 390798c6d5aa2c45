{{/* hubring.sidecar: the container beside a Prometheus. */}}
{{- define "hubring.sidecar" -}}
- name: thanos-sidecar
  image: {{ include "hubring.image" (dict "image" .Values.thanos.image "tag" "") | quote }}
  imagePullPolicy: {{ .Values.thanos.image.pullPolicy }}
  {{- if .Values.web.tls }}
  {{- include "hubring.podName" . | nindent 2 }}
  {{- end }}
  args:
    - sidecar
    - --prometheus.url={{ include "hubring.scheme" . }}://{{ include "hubring.ownHost" (dict "root" . "pod" "$(POD_NAME)") }}:9090
    {{- with include "hubring.clientConfig" . | fromYaml }}
    - --prometheus.http-client={{ toJson . }}
    {{- end }}
    {{- if .Values.web.configSecret }}
    - --http.config=/etc/hubring/web/web.yml
    {{- end }}
    - --tsdb.path=/prometheus
    - --grpc-address=:10901
    - --http-address=:10902
    - --log.level={{ .Values.thanos.logLevel }}
  {{- include "hubring.handoverLifecycle" . | nindent 2 }}
  ports:
    - {name: grpc, containerPort: 10901, protocol: TCP}
    - {name: http-sidecar, containerPort: 10902, protocol: TCP}
  {{- include "hubring.probes" (dict "root" . "port" "http-sidecar" "grpc" 10901) | nindent 2 }}
  resources:
    {{- toYaml .Values.thanos.sidecar.resources | nindent 4 }}
  {{- include "hubring.containerSecurity" . | nindent 2 }}
  volumeMounts:
    - {name: data, mountPath: /prometheus}
    {{- include "hubring.webMount" . | nindent 4 }}
    {{- include "hubring.webClientMount" . | nindent 4 }}
{{- end -}}

{{/* hubring.srv: how Thanos finds all pods of a headless service. Call with
     (dict "root" $ "port" "grpc" "name" "prometheus"). */}}
{{- define "hubring.srv" -}}
dnssrv+_{{ .port }}._tcp.{{ include "hubring.fullname" .root }}-{{ .name }}.{{ include "hubring.domain" .root }}
{{- end -}}
