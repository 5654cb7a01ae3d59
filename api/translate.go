package api

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"onsite/pipeline"
)

// phrase is one sentence of huma's validation with its stable code and its words. %s is what the sentence names.
type phrase struct {
	template string
	code     string
	text     pipeline.Text
	limit    bool // what the sentence names is a bound
}

var phrases = []phrase{
	{validation.MsgUnexpectedProperty, "unknown_field", both("there is no such field", "没有该字段"), false},
	{"unknown query parameter", "unknown_field", both("there is no such query parameter", "没有该查询参数"), false},
	{validation.MsgExpectedRFC3339DateTime, "time", both("must be a time such as 2026-11-22T09:00:00Z", "应为时间，例如 2026-11-22T09:00:00Z"), false},
	{"invalid date/time for format %v", "time", both("must be a time such as 2026-11-22T09:00:00Z", "应为时间，例如 2026-11-22T09:00:00Z"), false},
	{validation.MsgExpectedRFC1123DateTime, "time", both("must be an HTTP date", "应为 HTTP 日期"), false},
	{validation.MsgExpectedRFC3339Date, "date", both("must be a date such as 2026-11-22", "应为日期，例如 2026-11-22"), false},
	{validation.MsgExpectedRFC3339Time, "time", both("must be a time of day such as 09:00:00Z", "应为时刻，例如 09:00:00Z"), false},
	{validation.MsgExpectedRFC5322Email, "email", both("must be an e-mail address", "应为电子邮件地址"), false},
	{validation.MsgExpectedRFC5890Hostname, "hostname", both("must be a host name", "应为主机名"), false},
	{validation.MsgExpectedRFC2673IPv4, "ip", both("must be an IPv4 address", "应为 IPv4 地址"), false},
	{validation.MsgExpectedRFC2373IPv6, "ip", both("must be an IPv6 address", "应为 IPv6 地址"), false},
	{validation.MsgExpectedRFCIPAddr, "ip", both("must be an IP address", "应为 IP 地址"), false},
	{validation.MsgExpectedRFC3986URI, "url", both("must be a URL", "应为网址"), false},
	{"invalid url.URL value", "url", both("must be a URL", "应为网址"), false},
	{validation.MsgExpectedRFC4122UUID, "uuid", both("must be a UUID", "应为 UUID"), false},
	{validation.MsgExpectedRFC6570URITemplate, "url", both("must be a URI template", "应为 URI 模板"), false},
	{validation.MsgExpectedRFC6901JSONPointer, "pointer", both("must be a JSON pointer", "应为 JSON 指针"), false},
	{validation.MsgExpectedRFC6901RelativeJSONPointer, "pointer", both("must be a relative JSON pointer", "应为相对 JSON 指针"), false},
	{validation.MsgExpectedRegexp, "regexp", both("must be a regular expression", "应为正则表达式"), false},
	{validation.MsgExpectedMatchAtLeastOneSchema, "form", both("has none of the forms that are allowed", "不符合任何允许的形式"), false},
	{validation.MsgExpectedMatchExactlyOneSchema, "form", both("must have exactly one of the forms that are allowed", "应恰好符合一种允许的形式"), false},
	{validation.MsgExpectedNotMatchSchema, "form", both("has a form that is not allowed", "形式不被允许"), false},
	{validation.MsgExpectedPropertyNameInObject, "form", both("lacks the field that tells its form", "缺少用于区分形式的字段"), false},
	{validation.MsgExpectedBoolean, "type", both("must be true or false", "应为 true 或 false"), false},
	{"invalid boolean", "type", both("must be true or false", "应为 true 或 false"), false},
	{validation.MsgExpectedDuration, "duration", both("must be a duration such as 30s", "应为时长，例如 30s"), false},
	{validation.MsgExpectedNumber, "type", both("must be a number", "应为数字"), false},
	{"invalid float", "type", both("must be a number", "应为数字"), false},
	{"invalid floating value", "type", both("must be a number", "应为数字"), false},
	{validation.MsgExpectedInteger, "type", both("must be a whole number", "应为整数"), false},
	{"invalid integer", "type", both("must be a whole number", "应为整数"), false},
	{validation.MsgExpectedString, "type", both("must be a text", "应为文本"), false},
	{validation.MsgExpectedBase64String, "base64", both("must be base64", "应为 base64"), false},
	{validation.MsgExpectedArray, "type", both("must be a list", "应为列表"), false},
	{validation.MsgExpectedObject, "type", both("must be an object", "应为对象"), false},
	{validation.MsgExpectedArrayItemsUnique, "repeated", both("must not hold the same entry twice", "条目不得重复"), false},
	{validation.MsgExpectedOneOf, "choice", both("must be one of %s", "应为以下之一：%s"), true},
	{validation.MsgExpectedMinimumNumber, "too_small", both("must be at least %s", "不得小于 %s"), true},
	{validation.MsgExpectedExclusiveMinimumNumber, "too_small", both("must be more than %s", "应大于 %s"), true},
	{validation.MsgExpectedMaximumNumber, "too_large", both("must be at most %s", "不得大于 %s"), true},
	{validation.MsgExpectedExclusiveMaximumNumber, "too_large", both("must be less than %s", "应小于 %s"), true},
	{validation.MsgExpectedNumberBeMultipleOf, "multiple", both("must be a multiple of %s", "应为 %s 的倍数"), true},
	{validation.MsgExpectedMinLength, "too_short", both("must have at least %s characters", "不得少于 %s 个字符"), true},
	{validation.MsgExpectedMaxLength, "too_long", both("must have at most %s characters", "不得超过 %s 个字符"), true},
	{validation.MsgExpectedBePattern, "pattern", both("must be %s", "应为 %s"), true},
	{validation.MsgExpectedMatchPattern, "pattern", both("must match %s", "应匹配 %s"), true},
	{validation.MsgExpectedMinItems, "too_few", both("must have at least %s entries", "不得少于 %s 项"), true},
	{validation.MsgExpectedMaxItems, "too_many", both("must have at most %s entries", "不得超过 %s 项"), true},
	{validation.MsgExpectedMinProperties, "too_few", both("must have at least %s fields", "不得少于 %s 个字段"), true},
	{validation.MsgExpectedMaxProperties, "too_many", both("must have at most %s fields", "不得超过 %s 个字段"), true},
	{validation.MsgExpectedRequiredProperty, "missing", both("is missing", "缺失"), false},
	{validation.MsgExpectedDependentRequiredProperty, "missing", both("is missing", "缺失"), false},
	{"required %v parameter is missing", "missing", both("is missing", "缺失"), false},
	{"expected at most one value, but received multiple values", "repeated", both("must be given once", "只能给出一次"), false},
	{"unsupported type", "type", both("has a wrong type", "类型有误"), false},
	{"unparsable value", "type", both("cannot be read", "无法读取"), false},
	{"invalid value: %v", "type", both("cannot be read", "无法读取"), false},
}

// both is a text that is filled in later.
func both(en, zh string) pipeline.Text { return pipeline.Text{EN: en, ZH: zh} }

// patternsZH are the Chinese words of every patternDescription in this package; a test finds those that are missing.
var patternsZH = map[string]string{
	idWords:     "1 至 64 个字母、数字或 . _ -，以字母或数字开头",
	policyWords: "1 至 40 个小写字母、数字或 _，以字母开头",
	reasonWords: "原因代码",
	digestWords: "sha256 的前几位",
	vectorWords: "特征向量的名称",
}

// What patternDescriptions say; a tag cannot name a constant, so that they are written there once more.
const (
	idWords     = "1 to 64 of letters, digits, . _ - beginning with a letter or digit"
	policyWords = "1 to 40 of lower-case letters, digits, _ beginning with a letter"
	reasonWords = "a reason's code"
	digestWords = "the first digits of a sha256"
	vectorWords = "a name of vectors"
)

var verb = regexp.MustCompile(`%[vsd]`)

// matchers are the phrases as patterns; the first that fits counts, so "expected string to be %s" stands after the sentences that begin so.
var matchers = func() []*regexp.Regexp {
	out := make([]*regexp.Regexp, len(phrases))
	for i, p := range phrases {
		parts := verb.Split(p.template, -1)
		for j := range parts {
			parts[j] = regexp.QuoteMeta(parts[j])
		}
		out[i] = regexp.MustCompile("(?s)^" + strings.Join(parts, "(.*)") + "$")
	}
	return out
}()

// translate turns one of huma's findings into a field error. What was sent is never echoed: it may be a secret or a person's.
func translate(err error) FieldError {
	var d huma.ErrorDetailer
	if !errors.As(err, &d) {
		return FieldError{Field: "body", Code: "form", text: say("cannot be read", "无法读取")}
	}
	detail := d.ErrorDetail()
	out := FieldError{Field: detail.Location, Code: "form", text: say("has a wrong form", "格式有误")}
	for i, p := range phrases {
		m := matchers[i].FindStringSubmatch(detail.Message)
		if m == nil {
			continue
		}
		out.Code, out.text = p.code, p.text
		switch {
		case p.limit:
			out.Limit = m[1]
			out.text = say(p.text.EN, p.text.ZH, m[1])
			if zh, ok := patternsZH[m[1]]; ok {
				out.text.ZH = "应为" + zh
			}
		case p.template == validation.MsgExpectedRequiredProperty, p.template == validation.MsgExpectedDependentRequiredProperty:
			out.Field = strings.TrimPrefix(detail.Location+"."+m[1], ".") // huma names the object, people look for the field
		}
		return out
	}
	return out
}

// invalid is the problem of one wrong field.
func invalid(name, code string, limit any, text, fix pipeline.Text) *Problem {
	return problem(codeInvalid).field(name, code, limit, text, fix)
}

var limitBytes = regexp.MustCompile(`limit=(\d+) bytes`)

// fromHuma makes the problem of an error that huma found by itself.
func fromHuma(status int, msg string, errs ...error) huma.StatusError {
	for _, err := range errs {
		var p *Problem
		if errors.As(err, &p) {
			return p
		}
	}
	switch {
	case status == http.StatusRequestEntityTooLarge:
		p := problem(codeTooLarge)
		if m := limitBytes.FindStringSubmatch(msg); m != nil {
			p.with("The body is larger than %s bytes.", "请求体超过 %s 字节。", m[1]).
				field("body", "too_large", m[1], say("must be smaller than %s bytes", "应小于 %s 字节", m[1]), pipeline.Text{})
		}
		return p
	case status == http.StatusRequestTimeout:
		return problem(codeSlow)
	case msg == "request body is required":
		return problem(codeNoBody)
	case msg == "cannot read request body":
		return problem(codeUnreadable).because(errors.Join(errs...))
	case status == http.StatusUnsupportedMediaType:
		return problem(codeContentType)
	case status >= http.StatusInternalServerError:
		return fault(errors.Join(append(errs, errors.New(msg))...))
	case status == http.StatusBadRequest:
		p := problem(codeUnreadable)
		for _, err := range errs {
			p.Errors = append(p.Errors, translate(err))
		}
		return p
	}
	p := problem(codeInvalid)
	for _, err := range errs {
		p.Errors = append(p.Errors, translate(err))
	}
	return p
}

// huma keeps the makers of errors in variables of its package; ours are set once, before any API is made.
func init() {
	huma.ValidateStrictCasing = true // else "Subject" beside "subject" would be checked as one and decoded as the other
	huma.NewError = fromHuma
	huma.NewErrorWithContext = func(_ huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return fromHuma(status, msg, errs...)
	}
}
