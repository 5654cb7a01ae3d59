package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"unicode"
	"unicode/utf8"

	"onsite/pipeline"
)

// A form's fields are small; its one file is last, so that it can be refused or stored while it streams in.
const (
	claimBytes   = 64 << 10
	maxNameRunes = 128
	mediaField   = "media"
	claimField   = "claim"
)

// plainFields may stand instead of the claim's JSON.
var plainFields = map[string]bool{"subject": true, "site": true, "taken_at": true, "policy": true, "priority": true, "challenge": true}

// readForm reads a submission's form. It gives media the fields' claim as JSON, with the place it lies in, when the file begins.
func readForm(form *multipart.Reader, media func(claim []byte, place, name string, file io.Reader) error) error {
	var claim []byte
	plain := map[string]string{}
	stored := false
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return badBody(err)
		}
		name := part.FormName()
		switch {
		case stored:
			return invalid("form."+fieldName(name), "order", nil, say("stands after the file", "位于文件之后"),
				say("send the fields first and media last", "请先发送字段，最后发送 media"))
		case name == mediaField:
			raw, place, err := claimOf(claim, plain)
			if err != nil {
				return err
			}
			if err := media(raw, place, fileName(part.FileName()), part); err != nil {
				return err
			}
			stored = true
		case name == claimField || plainFields[name]:
			value, err := io.ReadAll(bound(part, claimBytes, "form."+name))
			if err != nil {
				return badBody(err)
			}
			if _, twice := plain[name]; twice || (name == claimField && claim != nil) {
				return invalid("form."+name, "repeated", nil, say("must be given once", "只能给出一次"), pipeline.Text{})
			}
			if name == claimField {
				claim = value
			} else {
				plain[name] = string(value)
			}
		default:
			return invalid("form."+fieldName(name), "unknown_field", nil, say("there is no such field", "没有该字段"),
				say("fields are subject, site, taken_at, policy, priority, challenge or claim, then media; everything else goes into claim as JSON", "字段为 subject、site、taken_at、policy、priority、challenge 或 claim，最后是 media；其余内容请放入 claim（JSON）"))
		}
	}
	if !stored {
		return invalid("form."+mediaField, "missing", nil, say("is missing", "缺失"), say("send the photo or video as the last part, named media", "请将照片或视频作为最后一部分发送，名称为 media"))
	}
	return nil
}

// claimOf gives the claim's JSON of a form.
func claimOf(claim []byte, plain map[string]string) ([]byte, string, error) {
	switch {
	case claim == nil && len(plain) == 0:
		return nil, "", invalid("form."+mediaField, "order", nil, say("stands before the fields", "位于字段之前"),
			say("send the fields first and media last", "请先发送字段，最后发送 media"))
	case claim != nil && len(plain) > 0:
		return nil, "", invalid("form."+claimField, "repeated", nil, say("must not stand beside fields of its own", "不得与其自身的字段同时使用"),
			say("put everything into claim, or leave it out", "请全部放入 claim，或不使用 claim"))
	case claim != nil:
		return bytes.TrimSpace(claim), "form." + claimField, nil
	}
	for k, v := range plain {
		if v == "" { // an empty input of an HTML form
			delete(plain, k)
		}
	}
	raw, err := json.Marshal(plain)
	return raw, "form", err
}

// fileName keeps of a file's name what is harmless to show.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) || strings.ContainsRune(`/\<>"`, r) {
			return -1
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > maxNameRunes {
		name = string(runes[:maxNameRunes])
	}
	return strings.TrimSpace(name)
}

// fieldName is a client's field name as an answer may echo it.
func fieldName(name string) string {
	name = fileName(name)
	if runes := []rune(name); len(runes) > 40 {
		name = string(runes[:40]) + "..."
	}
	return name
}
