{{/* What the parts speak to each other over HTTP: TLS and passwords. web.configSecret is for those
     that are asked, web.clientSecret for those that ask. */}}
{{- define "hubring.scheme" -}}
http{{ if .Values.web.tls }}s{{ end -}}
{{- end -}}

{{/* hubring.clientConfig: how a client proves who it is and knows who answers. Prometheus and Thanos have the
     same words for it; nothing if there is nothing to say. */}}
{{- define "hubring.clientConfig" -}}
{{- $web := .Values.web -}}
{{- if $web.tls -}}
tls_config:
  ca_file: /etc/hubring/client/ca.crt
  {{- include "hubring.clientCertificate" . | nindent 2 }}
  {{- with $web.serverName }}
  server_name: {{ . }}
  {{- end }}
{{ end -}}
{{- include "hubring.clientPassword" . -}}
{{- end -}}

{{- define "hubring.clientCertificate" -}}
{{- if .Values.web.clientCertificate -}}
cert_file: /etc/hubring/client/tls.crt
key_file: /etc/hubring/client/tls.key
{{- end -}}
{{- end -}}

{{- define "hubring.clientPassword" -}}
{{- with .Values.web.username -}}
basic_auth:
  username: {{ quote . }}
  password_file: /etc/hubring/client/password
{{- end -}}
{{- end -}}

{{/* hubring.scrapeWeb: what a scrape job or a group of Alertmanagers needs of it. */}}
{{- define "hubring.scrapeWeb" -}}
{{- if .Values.web.tls -}}
scheme: https
{{ end -}}
{{- include "hubring.clientConfig" . -}}
{{- end -}}

{{/* hubring.monitorWeb: what an endpoint of a ServiceMonitor or PodMonitor needs, which takes all from
     Secrets. */}}
{{- define "hubring.monitorWeb" -}}
{{- $web := .Values.web -}}
{{- if $web.tls -}}
scheme: https
tlsConfig:
  serverName: {{ $web.serverName }}
  ca: {secret: {name: {{ $web.clientSecret }}, key: ca.crt}}
  {{- if $web.clientCertificate }}
  cert: {secret: {name: {{ $web.clientSecret }}, key: tls.crt}}
  keySecret: {name: {{ $web.clientSecret }}, key: tls.key}
  {{- end }}
{{ end -}}
{{- if $web.username -}}
basicAuth:
  username: {name: {{ include "hubring.fullname" . }}-web-user, key: username}
  password: {name: {{ $web.clientSecret }}, key: password}
{{- end -}}
{{- end -}}

{{/* hubring.localConfig: the same for who asks within its own pod, as localhost. Like the kubelet it does not look
     at the certificate, which is for other names. */}}
{{- define "hubring.localConfig" -}}
{{- if .Values.web.tls -}}
tls_config:
  insecure_skip_verify: true
  {{- include "hubring.clientCertificate" . | nindent 2 }}
{{ end -}}
{{- include "hubring.clientPassword" . -}}
{{- end -}}

{{- define "hubring.localWeb" -}}
{{- if .Values.web.tls -}}
scheme: https
{{ end -}}
{{- include "hubring.localConfig" . -}}
{{- end -}}

{{- define "hubring.localMount" -}}
{{- if include "hubring.localConfig" . -}}
- {name: localhost, mountPath: /etc/hubring/localhost, readOnly: true}
{{- end -}}
{{- end -}}

{{- define "hubring.localVolume" -}}
{{- if include "hubring.localConfig" . -}}
- name: localhost
  configMap: {name: {{ include "hubring.fullname" . }}-localhost}
{{- end -}}
{{- end -}}

{{/* hubring.thanosWeb: the flag by which a Thanos serves HTTP like the others. Between each other they speak
     gRPC, which stays plain. */}}
{{- define "hubring.thanosWeb" -}}
{{- if .Values.web.configSecret -}}
- --http.config=/etc/hubring/web/web.yml
{{- end -}}
{{- end -}}

{{/* hubring.rulerClients: whom the ruler asks and tells. Simple flags know no TLS. */}}
{{- define "hubring.rulerClients" -}}
{{- $query := include "hubring.queryAddress" . -}}
{{- $alertmanagers := include "hubring.alertmanagerURLs" . | fromJsonArray -}}
{{- $client := include "hubring.clientConfig" . | fromYaml -}}
{{- $scheme := include "hubring.scheme" . -}}
{{- if $client -}}
- {{ list (dict "scheme" $scheme "http_config" $client "static_configs" (list $query)) | toJson | printf "--query.config=%s" | quote }}
{{- else -}}
- --query={{ $query }}
{{- end }}
{{- if and $client .Values.alertmanager.enabled }}
{{- $hosts := list }}
{{- range $alertmanagers }}{{ $hosts = append $hosts (regexReplaceAll "^https?://" . "") }}{{ end }}
- {{ dict "alertmanagers" (list (dict "scheme" $scheme "http_config" $client "static_configs" $hosts "api_version" "v2")) | toJson | printf "--alertmanagers.config=%s" | quote }}
{{- else }}
{{- range $alertmanagers }}
- --alertmanagers.url={{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Mounts and volumes: of those that are asked, and of those that ask. */}}
{{- define "hubring.webMount" -}}
{{- if .Values.web.configSecret -}}
- {name: web, mountPath: /etc/hubring/web, readOnly: true}
{{- end -}}
{{- end -}}

{{/* hubring.pushWeb: the volume that has the web.yml of the hubs' port for pushes, or nothing. */}}
{{- define "hubring.pushWeb" -}}
{{- if .Values.web.pushConfigSecret }}web-push{{ else if .Values.web.configSecret }}web{{ end -}}
{{- end -}}

{{- define "hubring.webVolume" -}}
{{- with .Values.web.configSecret -}}
- name: web
  secret: {secretName: {{ . }}}
{{- end -}}
{{- end -}}

{{- define "hubring.webClientMount" -}}
{{- if .Values.web.clientSecret -}}
- {name: web-client, mountPath: /etc/hubring/client, readOnly: true}
{{- end -}}
{{- end -}}

{{- define "hubring.webClientVolume" -}}
{{- with .Values.web.clientSecret -}}
- name: web-client
  secret: {secretName: {{ . }}}
{{- end -}}
{{- end -}}

{{/* hubring.hubAsks: whether a hub needs to know how others are asked: its server, or a hub to which it hands over. */}}
{{- define "hubring.hubAsks" -}}
{{- if and (include "hubring.clientConfig" .) (or (not (include "hubring.victoria" .)) (include "hubring.handsOver" .)) -}}
true
{{- end -}}
{{- end -}}

{{/* hubring.hubMounts, hubring.hubVolumes: a hub is asked on two ports, and asks its server; its log is on disk. */}}
{{- define "hubring.hubMounts" -}}
{{- if .Values.edgehub.storage.enabled }}
- {name: data, mountPath: /var/lib/edgehub}
{{- end }}
{{ include "hubring.webMount" . }}
{{- if .Values.web.pushConfigSecret }}
- {name: web-push, mountPath: /etc/hubring/web-push, readOnly: true}
{{- end }}
{{- if include "hubring.hubAsks" . }}
- {name: server, mountPath: /etc/hubring/server, readOnly: true}
{{ include "hubring.webClientMount" . }}
{{- end }}
{{- end -}}

{{- define "hubring.hubVolumes" -}}
{{- if and .Values.edgehub.storage.enabled (not .Values.edgehub.persistence.enabled) }}
- {name: data, emptyDir: {}}
{{- end }}
{{ include "hubring.webVolume" . }}
{{- with .Values.web.pushConfigSecret }}
- name: web-push
  secret: {secretName: {{ . }}}
{{- end }}
{{- if include "hubring.hubAsks" . }}
- name: server
  configMap: {name: {{ include "hubring.fullname" . }}-edgehub-server}
{{ include "hubring.webClientVolume" . }}
{{- end }}
{{- end -}}
