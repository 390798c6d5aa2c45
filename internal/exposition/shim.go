package exposition

import "net/http"

func AppendName(dst []byte, name string) []byte { return append(dst, name...) }
func AppendLegacy(dst, text []byte) []byte      { return append(dst, text...) }
func AcceptsUTF8(h http.Header) bool            { return true }
