package database

import (
	"encoding/json"
	"fmt"
	"time"

	"onsite/results"
)

// millis is how a time is stored: milliseconds UTC, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// timeInto scans milliseconds into a time.
type timeInto struct{ t *time.Time }

// at scans milliseconds into t.
func at(t *time.Time) timeInto { return timeInto{t} }

// Scan implements sql.Scanner.
func (s timeInto) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*s.t = time.Time{}
	case int64:
		*s.t = fromMillis(v)
	default:
		return fmt.Errorf("read a time from the results store: it is a %T", src)
	}
	return nil
}

// asJSON stores a value as JSON text.
type asJSON struct{ value any }

// js stores v as JSON text.
func js(v any) asJSON { return asJSON{v} }

// jsonInto scans JSON text into a value.
type jsonInto struct{ into any }

// fromJSON scans JSON text into what v points to; NULL and empty text leave it as it is.
func fromJSON(v any) jsonInto { return jsonInto{v} }

// Scan implements sql.Scanner.
func (s jsonInto) Scan(src any) error {
	var text []byte
	switch v := src.(type) {
	case nil:
	case string:
		text = []byte(v)
	case []byte:
		text = append(text, v...) // the driver's own memory
	default:
		return fmt.Errorf("read JSON from the results store: it is a %T", src)
	}
	if len(text) == 0 {
		return nil
	}
	if raw, ok := s.into.(*json.RawMessage); ok {
		*raw = text
		return nil
	}
	if err := json.Unmarshal(text, s.into); err != nil {
		return fmt.Errorf("read JSON from the results store: %w", err)
	}
	return nil
}

// said is how a Why is stored: as JSON text, and as none when there is nothing to say.
func said(w *results.Why) string {
	if w == nil {
		return ""
	}
	text, err := json.Marshal(w)
	if err != nil {
		panic(fmt.Sprintf("plain words cannot be JSON: %v", err))
	}
	return string(text)
}

// whyInto scans what said wrote.
type whyInto struct{ into **results.Why }

func because(w **results.Why) whyInto { return whyInto{w} }

// Scan implements sql.Scanner.
func (s whyInto) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("read a reason from the results store: it is a %T", src)
	}
	*s.into = nil
	if text == "" {
		return nil
	}
	w := &results.Why{}
	if json.Unmarshal([]byte(text), w) != nil || w.Rule == "" { // of a version that wrote plain English
		w = results.Because("other", text, text)
	}
	*s.into = w
	return nil
}
