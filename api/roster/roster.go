package roster

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"onsite/pipeline"
)

// Bounds of a list.
const (
	MaxBytes  = 16 << 20
	MaxPeople = 20_000 // of one list; a request takes fewer
	MaxPhotos = 5      // of one person
	maxText   = 500    // runes of a field
	maxPath   = 200    // runes of a photo's name
	photoSep  = ";"
)

// Person is one row of a list.
type Person struct {
	Line    int      `json:"-"` // in the list, from 1
	Subject string   `json:"subject"`
	Label   string   `json:"label,omitempty"`
	Photos  []string `json:"photos,omitempty"` // names of photos that come with the list
	Consent *Consent `json:"consent,omitempty"`
}

// Consent is what a row says about a consent to face processing.
type Consent struct {
	Notice    string    `json:"notice"`
	Reference string    `json:"reference,omitempty"`
	GivenAt   time.Time `json:"given_at,omitzero"`
}

// Error is what is wrong with a line. The rest of the list may be fine.
type Error struct {
	Line  int    // 0: the list as a whole
	Field string // "" where no field is meant
	Text  pipeline.Text
}

func (e *Error) Error() string { return e.Words().EN }

// Words names the line and the field in both languages.
func (e *Error) Words() pipeline.Text {
	t := e.Text
	if e.Field != "" {
		t = pipeline.Text{EN: e.Field + " " + t.EN, ZH: e.Field + " " + t.ZH}
	}
	if e.Line > 0 {
		t = pipeline.Text{EN: fmt.Sprintf("line %d: %s", e.Line, t.EN), ZH: fmt.Sprintf("第 %d 行：%s", e.Line, t.ZH)}
	}
	return t
}

// Errors is everything that is wrong with a list.
type Errors []*Error

func (es Errors) Error() string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = e.Error()
	}
	return strings.Join(parts, "; ")
}

// Words is the same in both languages.
func (es Errors) Words() pipeline.Text {
	var en, zh []string
	for _, e := range es {
		w := e.Words()
		en, zh = append(en, w.EN), append(zh, w.ZH)
	}
	return pipeline.Text{EN: strings.Join(en, "; "), ZH: strings.Join(zh, "；")}
}

// maxErrors bounds what one list can complain about.
const maxErrors = 50

var subjectForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// columns of a CSV list; the first one must be there.
var columns = []string{"subject", "label", "photos", "consent_notice", "consent_reference", "consent_given_at"}

// Read reads a list: NDJSON when it begins with a brace, else CSV. The error is Errors: everything that is wrong, and then nothing of the
// list is to be used.
func Read(raw []byte) ([]Person, error) {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff")) // spreadsheets write the mark
	switch {
	case len(raw) > MaxBytes:
		return nil, whole("is longer than %d bytes; send it in parts", "超过 %d 字节；请分批发送", MaxBytes)
	case !utf8.Valid(raw):
		return nil, whole("is not UTF-8; in a spreadsheet, save it as \"CSV UTF-8\"", "不是 UTF-8 编码；请在表格软件中另存为“CSV UTF-8”")
	case len(bytes.TrimSpace(raw)) == 0:
		return nil, whole("is empty", "为空")
	}
	read := readCSV
	if bytes.TrimSpace(raw)[0] == '{' {
		read = readLines
	}
	people, errs := read(raw)
	if len(people) > MaxPeople {
		return nil, whole("has more than %d people; send it in parts", "超过 %d 人；请分批发送", MaxPeople)
	}
	seen, photos := map[string]int{}, map[string]int{}
	for _, p := range people {
		if len(errs) >= maxErrors {
			break
		}
		errs = append(errs, p.check(seen, photos)...)
	}
	if len(errs) > 0 {
		return nil, errs[:min(len(errs), maxErrors)]
	}
	if len(people) == 0 {
		return nil, whole("names nobody", "没有任何人员")
	}
	return people, nil
}

func whole(en, zh string, args ...any) Errors {
	text := pipeline.Text{EN: "the list " + en, ZH: "名单" + zh}
	if len(args) > 0 {
		text = pipeline.Text{EN: fmt.Sprintf(text.EN, args...), ZH: fmt.Sprintf(text.ZH, args...)}
	}
	return Errors{{Text: text}}
}

// readCSV reads columns in any order; those that it does not know are refused, so that a slip of the pen does not lose a consent.
func readCSV(raw []byte) ([]Person, Errors) {
	r := csv.NewReader(bytes.NewReader(raw))
	r.FieldsPerRecord = -1
	r.TrimLeadingSpace = true
	header, err := r.Read()
	if err != nil {
		return nil, csvError(err)
	}
	at := map[string]int{}
	var errs Errors
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		_, twice := at[name]
		switch {
		case !slices.Contains(columns, name):
			errs = append(errs, fault(1, quote(name), "is no column of this list; columns are "+strings.Join(columns, ", "), "不是名单的列；可用的列为 "+strings.Join(columns, "、")))
		case twice:
			errs = append(errs, fault(1, name, "is there twice", "重复出现"))
		}
		at[name] = i
		if len(errs) >= maxErrors {
			break
		}
	}
	if _, ok := at["subject"]; !ok {
		errs = append(errs, fault(1, "subject", "is missing in the first line, which names the columns: "+strings.Join(columns, ","), "列缺失；首行须列出各列名称："+strings.Join(columns, ",")))
	}
	if len(errs) > 0 {
		return nil, errs
	}
	var people []Person
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return people, errs
		}
		if err != nil {
			return people, append(errs, csvError(err)...)
		}
		line, _ := r.FieldPos(0)
		if len(cells) > len(header) {
			errs = append(errs, fault(line, "", "has more cells than the first line has columns", "单元格数多于首行的列数"))
		}
		cell := func(column string) string {
			if i, ok := at[column]; ok && i < len(cells) {
				return strings.TrimSpace(cells[i])
			}
			return ""
		}
		p, err := row(line, cell)
		if e := (*Error)(nil); errors.As(err, &e) {
			errs = append(errs, e)
		}
		people = append(people, p)
		if len(people) > MaxPeople || len(errs) >= maxErrors {
			return people, errs
		}
	}
}

func row(line int, cell func(string) string) (Person, error) {
	p := Person{Line: line, Subject: cell("subject"), Label: cell("label")}
	for name := range strings.SplitSeq(cell("photos"), photoSep) {
		if name = strings.TrimSpace(name); name != "" {
			p.Photos = append(p.Photos, name)
		}
	}
	c := Consent{Notice: cell("consent_notice"), Reference: cell("consent_reference")}
	var err error
	if at := cell("consent_given_at"); at != "" {
		if c.GivenAt, err = moment(at); err != nil {
			err = fault(line, "consent_given_at", "is not a time; write it as 2026-03-01 or 2026-03-01T09:00:00+08:00", "不是有效时间；请写成 2026-03-01 或 2026-03-01T09:00:00+08:00")
		}
	}
	if c != (Consent{}) {
		p.Consent = &c
	}
	return p, err
}

func moment(text string) (time.Time, error) {
	if t, err := time.Parse("2006-01-02", text); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, text)
}

func csvError(err error) Errors {
	var parse *csv.ParseError
	line := 0
	if errors.As(err, &parse) {
		line = parse.Line
	}
	return Errors{fault(line, "", "is not CSV: check the quotation marks", "不是有效的 CSV：请检查引号")}
}

// readLines reads one JSON object per line.
func readLines(raw []byte) ([]Person, Errors) {
	var people []Person
	var errs Errors
	line := 0
	for text := range bytes.Lines(raw) {
		line++
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		p := Person{}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&p); err != nil || d.More() {
			errs = append(errs, fault(line, "", "is not one JSON object with the fields subject, label, photos, consent {notice, reference, given_at}",
				"不是单个 JSON 对象，其字段应为 subject、label、photos、consent {notice, reference, given_at}"))
		}
		p.Line = line
		people = append(people, p)
		if len(people) > MaxPeople || len(errs) >= maxErrors {
			break
		}
	}
	return people, errs
}

// check says what is wrong with a row, also beside the rows before it.
func (p Person) check(seen, photos map[string]int) Errors {
	var errs Errors
	bad := func(field, en, zh string) { errs = append(errs, fault(p.Line, field, en, zh)) }
	switch first, twice := seen[p.Subject]; {
	case p.Subject == "":
		bad("subject", "is missing", "缺失")
	case !subjectForm.MatchString(p.Subject):
		bad("subject", "must be 1 to 64 of letters, digits, . _ - beginning with a letter or digit", "应为 1 至 64 个字母、数字或 . _ -，且以字母或数字开头")
	case twice:
		bad("subject", fmt.Sprintf("stands in line %d already; put all photos of a person into one row", first), fmt.Sprintf("已在第 %d 行出现；请把同一人的照片放在一行", first))
	}
	seen[p.Subject] = p.Line
	if len([]rune(p.Label)) > 200 {
		bad("label", "must have at most 200 characters", "不得超过 200 个字符")
	}
	if len(p.Photos) > MaxPhotos {
		bad("photos", fmt.Sprintf("names %d photos; a person has at most %d", len(p.Photos), MaxPhotos), fmt.Sprintf("列出了 %d 张照片；每人最多 %d 张", len(p.Photos), MaxPhotos))
	}
	for _, name := range p.Photos {
		switch first, twice := photos[name]; {
		case !plainPath(name):
			bad("photos", quote(name)+" must be a path inside the photos' folder, of at most 200 characters", quote(name)+" 应为照片文件夹内的路径，且不超过 200 个字符")
		case twice:
			bad("photos", fmt.Sprintf("%s stands in line %d already; a photo shows one person", quote(name), first), fmt.Sprintf("%s 已在第 %d 行出现；一张照片只能属于一人", quote(name), first))
		}
		photos[name] = p.Line
	}
	if c := p.Consent; c != nil {
		switch {
		case strings.TrimSpace(c.Notice) == "":
			bad("consent_notice", "is missing: name the version of the text that the person agreed to", "缺失：请填写本人所同意文本的版本")
		case len([]rune(c.Notice)) > 200:
			bad("consent_notice", "must have at most 200 characters", "不得超过 200 个字符")
		case len([]rune(c.Reference)) > maxText:
			bad("consent_reference", fmt.Sprintf("must have at most %d characters", maxText), fmt.Sprintf("不得超过 %d 个字符", maxText))
		}
	}
	return errs
}

// plainPath says whether a photo's name is a relative path that stays in its folder.
func plainPath(name string) bool {
	if name == "" || len([]rune(name)) > maxPath || strings.HasPrefix(name, "/") || strings.Contains(name, `\`) || strings.ContainsFunc(name, control) {
		return false
	}
	return !slices.Contains(strings.Split(name, "/"), "..")
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

func fault(line int, field, en, zh string) *Error {
	return &Error{Line: line, Field: field, Text: pipeline.Text{EN: en, ZH: zh}}
}

// quote shows an outside value, shortened.
func quote(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "..."
	}
	return fmt.Sprintf("%q", s)
}
