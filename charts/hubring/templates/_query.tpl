{{/* One query over all servers. hubring.global: whether there is one, "true" or nothing. create_thanos is the name that
     it had when Thanos was the only way. */}}
{{- define "hubring.global" -}}
{{- if or .Values.create_thanos .Values.query.enabled }}true{{ end -}}
{{- end -}}

{{/* hubring.mode: who answers it, or nothing. The old switch of distributed queries names a mode, too. */}}
{{- define "hubring.mode" -}}
{{- if include "hubring.global" . -}}
{{- if .Values.query.mode -}}
{{- .Values.query.mode -}}
{{- else -}}
{{- ternary "thanos-distributed" "shards" .Values.thanos.query.distributed.enabled -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* hubring.shards, hubring.querier, hubring.distributed: the mode as conditions, "true" or nothing. */}}
{{- define "hubring.shards" -}}
{{- if eq (include "hubring.mode" .) "shards" }}true{{ end -}}
{{- end -}}

{{- define "hubring.querier" -}}
{{- if hasPrefix "thanos" (include "hubring.mode" .) }}true{{ end -}}
{{- end -}}

{{- define "hubring.distributed" -}}
{{- if eq (include "hubring.mode" .) "thanos-distributed" }}true{{ end -}}
{{- end -}}

{{/* hubring.sidecars: whether servers have one: a querier asks it, or it writes to a bucket. */}}
{{- define "hubring.sidecars" -}}
{{- if or (include "hubring.querier" .) .Values.objectStorage.enabled }}true{{ end -}}
{{- end -}}

{{/* hubring.archive: whether hubquery asks a querier for what only the bucket has. */}}
{{- define "hubring.archive" -}}
{{- if and (include "hubring.shards" .) .Values.objectStorage.enabled }}true{{ end -}}
{{- end -}}

{{/* hubring.partialResponse: whether a part will do, "true" or nothing. Either value can say that it will not. */}}
{{- define "hubring.partialResponse" -}}
{{- if and .Values.query.partialResponse .Values.thanos.query.partialResponse }}true{{ end -}}
{{- end -}}

{{/* hubring.queryAddress: host and port of who answers for all servers: whom the ruler and the query frontend ask. */}}
{{- define "hubring.queryAddress" -}}
{{- $name := include "hubring.fullname" . -}}
{{- if include "hubring.shards" . -}}
{{- printf "%s-query.%s:9099" $name (include "hubring.domain" .) -}}
{{- else -}}
{{- printf "%s-thanos-query.%s:10902" $name (include "hubring.domain" .) -}}
{{- end -}}
{{- end -}}

{{/* hubring.serverURL: where a server is asked. Call with (dict "root" $ "shard" 2 "replica" "a"). */}}
{{- define "hubring.serverURL" -}}
{{- $name := include "hubring.fullname" .root -}}
{{- printf "%s://%s-%s-%d.%s-prometheus.%s:9090" (include "hubring.scheme" .root) $name (include "hubring.prometheusName" .replica) (int .shard) $name (include "hubring.domain" .root) -}}
{{- end -}}

{{/* hubring.shardsFile: whom hubquery asks. Those whose hub is gone are shards, too. */}}
{{- define "hubring.shardsFile" -}}
shards:
  {{- range $shard := until (include "hubring.servers" . | int) }}
  {{- $servers := list }}
  {{- range $replica := include "hubring.replicas" $ | fromJsonArray }}
  {{- $servers = append $servers (include "hubring.serverURL" (dict "root" $ "shard" $shard "replica" $replica)) }}
  {{- end }}
  - name: {{ toString $shard | quote }}
    kind: {{ $.Values.shard.kind }}
    servers: {{ toJson $servers }}
  {{- end }}
{{- end -}}

{{/* hubring.archiveAfter: from which age on the bucket is asked. Servers have what is younger: a tenth of the retention is
     for blocks that go earlier. */}}
{{- define "hubring.archiveAfter" -}}
{{- $retention := include "hubring.seconds" .Values.prometheus.retention | int -}}
{{- default (printf "%dm" (div (mul $retention 9) 600)) .Values.query.archiveAfter -}}
{{- end -}}

{{/* hubring.rulerStore: where the results of rules go. hubquery asks servers only, so in mode shards the first one, or
     pair, has them, each once: what tells rulers apart is taken off. */}}
{{- define "hubring.rulerStore" -}}
{{- if include "hubring.shards" . -}}
{{- $writes := list -}}
{{- range $replica := include "hubring.replicas" . | fromJsonArray -}}
{{- $url := printf "%s/api/v1/write" (include "hubring.serverURL" (dict "root" $ "shard" 0 "replica" $replica)) -}}
{{- $to := dict "url" $url "name" $replica "write_relabel_configs" (list (dict "regex" "ruler_replica" "action" "labeldrop")) -}}
{{- $writes = append $writes (merge $to (include "hubring.clientConfig" $ | fromYaml)) -}}
{{- end -}}
- {{ dict "remote_write" $writes | toJson | printf "--remote-write.config=%s" | quote }}
{{- else -}}
- --tsdb.retention={{ .Values.thanos.ruler.retention }}
{{- if .Values.objectStorage.enabled }}
- {{ include "hubring.bucketFlag" . }}
{{- end }}
{{- end -}}
{{- end -}}
