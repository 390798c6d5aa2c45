package otlp

// kind is how a field's value is written.
type kind uint8

const (
	aMessage  kind = iota
	aString        // UTF-8
	aBase64        // bytes
	aHex           // bytes, as OTLP has ids of traces in JSON
	aBool          // varint
	anInt          // int64, varint
	aUint          // uint64 and uint32, varint
	aSint          // sint32
	aFixed         // fixed64
	aSigned        // sfixed64
	aDouble        // eight bytes
	theTotals      // AggregationTemporality
)

// schema has the fields of a message by their names in JSON.
type schema map[string]schemaField

type schemaField struct {
	number   uint64
	kind     kind
	repeated bool
	message  schema
}

func one(number uint64, k kind) schemaField { return schemaField{number: number, kind: k} }
func many(number uint64, k kind) schemaField {
	return schemaField{number: number, kind: k, repeated: true}
}
func within(number uint64, s schema) schemaField { return schemaField{number: number, message: s} }
func list(number uint64, s schema) schemaField {
	return schemaField{number: number, message: s, repeated: true}
}

// requestSchema is that of an ExportMetricsServiceRequest, with the fields that become something.
var requestSchema = func() schema {
	value := schema{
		"stringValue": one(1, aString), "boolValue": one(2, aBool), "intValue": one(3, anInt), "doubleValue": one(4, aDouble),
		"bytesValue": one(7, aBase64),
	}
	pair := schema{"key": one(1, aString), "value": within(2, value)}
	value["arrayValue"] = within(5, schema{"values": list(1, value)})
	value["kvlistValue"] = within(6, schema{"values": list(1, pair)})
	exemplar := schema{
		"timeUnixNano": one(2, aFixed), "asDouble": one(3, aDouble), "spanId": one(4, aHex), "traceId": one(5, aHex),
		"asInt": one(6, aSigned), "filteredAttributes": list(7, pair),
	}
	number := schema{
		"startTimeUnixNano": one(2, aFixed), "timeUnixNano": one(3, aFixed), "asDouble": one(4, aDouble), "exemplars": list(5, exemplar),
		"asInt": one(6, aSigned), "attributes": list(7, pair), "flags": one(8, aUint),
	}
	classic := schema{
		"startTimeUnixNano": one(2, aFixed), "timeUnixNano": one(3, aFixed), "count": one(4, aFixed), "sum": one(5, aDouble),
		"bucketCounts": many(6, aFixed), "explicitBounds": many(7, aDouble), "exemplars": list(8, exemplar),
		"attributes": list(9, pair), "flags": one(10, aUint),
	}
	buckets := schema{"offset": one(1, aSint), "bucketCounts": many(2, aUint)}
	exponential := schema{
		"attributes": list(1, pair), "startTimeUnixNano": one(2, aFixed), "timeUnixNano": one(3, aFixed), "count": one(4, aFixed),
		"sum": one(5, aDouble), "scale": one(6, aSint), "zeroCount": one(7, aFixed), "positive": within(8, buckets),
		"negative": within(9, buckets), "flags": one(10, aUint), "exemplars": list(11, exemplar),
	}
	quantile := schema{"quantile": one(1, aDouble), "value": one(2, aDouble)}
	summary := schema{
		"startTimeUnixNano": one(2, aFixed), "timeUnixNano": one(3, aFixed), "count": one(4, aFixed), "sum": one(5, aDouble),
		"quantileValues": list(6, quantile), "attributes": list(7, pair), "flags": one(8, aUint),
	}
	data := func(number uint64, point schema) schemaField {
		return within(number, schema{
			"dataPoints": list(1, point), "aggregationTemporality": one(2, theTotals), "isMonotonic": one(3, aBool),
		})
	}
	metric := schema{
		"name": one(1, aString), "description": one(2, aString), "unit": one(3, aString), "gauge": data(5, number), "sum": data(7, number),
		"histogram": data(9, classic), "exponentialHistogram": data(10, exponential), "summary": data(11, summary),
	}
	scope := schema{"name": one(1, aString), "version": one(2, aString), "attributes": list(3, pair)}
	scopeMetrics := schema{"scope": within(1, scope), "metrics": list(2, metric), "schemaUrl": one(3, aString)}
	resource := within(1, schema{"attributes": list(1, pair)})
	return schema{"resourceMetrics": list(1, schema{"resource": resource, "scopeMetrics": list(2, scopeMetrics)})}
}()

// temporalities are the names of an AggregationTemporality.
var temporalities = map[string]uint64{
	"AGGREGATION_TEMPORALITY_UNSPECIFIED": 0, "AGGREGATION_TEMPORALITY_DELTA": delta, "AGGREGATION_TEMPORALITY_CUMULATIVE": cumulative,
}
