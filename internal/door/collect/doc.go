// Package collect takes in what senders of metric families call by gRPC: prometheus-edge-hub's service, and those between
// the parts of Magma. It is a handler for the HTTP/2 of net/http, since a call of one message is a POST, five bytes in front of its body
// and a status behind the answer's. google.golang.org/grpc would come into the requirements of whoever embeds a library of this module.
//
// A request is read into families, each the bytes of an io.prometheus.client.MetricFamily, and whose they are. What becomes of them is
// up to whoever has the door.
package collect
