package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// minLease leaves a busy worker three seconds between the renewal that is due (four in a lease) and the end.
const minLease = 4 * time.Second

// maxAttempt is far less than the janitor lets an object lie that no row names (3 h): an attempt's objects are there when it ends.
const maxAttempt = time.Hour

// masked stands for a secret wherever one would be shown.
const masked = "********"

// Secret is a setting that is never printed: every way of printing it gives the masked form. Reveal gives the text.
type Secret struct{ text string }

// NewSecret makes one.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal gives the text, for the one who connects with it.
func (s Secret) Reveal() string { return s.text }

// Empty says that none was given.
func (s Secret) Empty() bool { return s.text == "" }

// String masks. Of a URL it shows where it leads, without user, password and query.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	if u, err := url.Parse(s.text); err == nil && u.Scheme != "" && u.Host != "" {
		return u.Scheme + "://" + masked + "@" + u.Host + u.EscapedPath()
	}
	return masked
}

// GoString masks %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// Format masks every verb, also those for numbers and bytes, which would look into the struct.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText masks JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue masks log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Bytes is a size.
type Bytes int64

var units = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// String gives the size in the largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range units {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText is String.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func parseBytes(text string) (Bytes, error) {
	size := int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			text, size = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return 0, err
	case n < 0 || n > math.MaxInt64/size:
		return 0, errors.New("out of range")
	}
	return Bytes(n * size), nil
}

// set reads a raw value, a string from a flag or variable or anything from YAML, into a leaf. It gives the accepted form when it cannot.
func set(leaf reflect.Value, raw any) (want form, ok bool) {
	list, isList := raw.([]any)
	text := fmt.Sprint(raw)
	_, isText := raw.(string)
	if isList && leaf.Kind() != reflect.Slice {
		return formOf(leaf), false
	}
	switch into := leaf.Addr().Interface().(type) {
	case *[]string:
		*into = nil
		if !isList {
			for part := range strings.SplitSeq(text, ",") {
				list = append(list, strings.TrimSpace(part))
			}
		}
		for _, part := range list {
			p, isText := part.(string)
			if !isText || p == "" {
				return formList, false
			}
			*into = append(*into, p)
		}
		return 0, true
	case *string:
		// YAML would turn 0123 or yes into something else before we see it.
		if !isText {
			return formText, false
		}
		*into = text
		return 0, true
	case *Secret:
		if !isText {
			return formText, false
		}
		into.text = text
		return 0, true
	case *bool:
		v, err := strconv.ParseBool(text)
		*into = v
		return formBool, err == nil
	case *int:
		v, err := strconv.Atoi(text)
		*into = v
		return formInt, err == nil && v >= 0
	case *time.Duration:
		v, err := time.ParseDuration(text)
		*into = v
		return formDuration, err == nil && v >= 0
	case *Bytes:
		v, err := parseBytes(text)
		*into = v
		return formBytes, err == nil
	}
	panic("config: a setting of a type that cannot be read: " + leaf.Type().String())
}

func formOf(leaf reflect.Value) form {
	switch leaf.Interface().(type) {
	case bool:
		return formBool
	case int:
		return formInt
	case time.Duration:
		return formDuration
	case Bytes:
		return formBytes
	case []string:
		return formList
	}
	return formText
}
