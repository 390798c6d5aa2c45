package reason

import "fmt"

// maxQuoted is how much of a name or of a hub's words a message quotes, in bytes.
const maxQuoted = 120

// Quoted makes text of others fit for the middle of a message.
func Quoted(text string) string {
	if len(text) > maxQuoted {
		return fmt.Sprintf("%q...", text[:maxQuoted])
	}
	return fmt.Sprintf("%q", text)
}
