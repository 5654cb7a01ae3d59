package scene

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"onsite/pipeline"
)

// sign reads the names on the site's own sign, and those of other places.
func (p *siteParser) sign(v value) (own, foreign []string) {
	m := p.mapping(v, "sign", "names", "foreign_names")
	own, foreign = p.names(m["names"], "sign.names"), p.names(m["foreign_names"], "sign.foreign_names")
	for i, f := range foreign {
		for _, n := range own {
			if c := newSignName(n).in(f, 1); c.found || c.doubt || newSignName(f).in(n, 1).found {
				p.add(Alike, fmt.Sprintf("sign.foreign_names[%d]", i), f, fmt.Sprintf("is too like the site's own name %q: a reading could be either; leave it out", n),
					fmt.Sprintf("与该地点自己的名称“%s”过于相似，识别结果无法区分；请删除", n))
			}
		}
	}
	return own, foreign
}

// double refuses a name that an earlier reference has: evidence names references.
func (p *siteParser) double(before []pipeline.Reference, name, field string) {
	for _, r := range before {
		if name != "" && r.Name == name {
			p.add(BadValue, field, name, "is the name of an earlier reference; give each its own", "与前面的参考图片重名；请使用不同的名称")
			return
		}
	}
}

func (p *siteParser) names(v value, list string) []string {
	var out []string
	for i, item := range p.list(v, list, maxNames) {
		field := fmt.Sprintf("%s[%d]", list, i)
		name := p.text(item, field, maxNameRunes)
		switch r := readable(name); {
		case name == "":
		case r == ' ':
			p.add(UnreadName, field, name, "has no letter or digit to read; write the name as it stands on the sign", "没有可识别的文字或数字；请按招牌上的写法填写")
		case r != 0:
			p.add(UnreadName, field, name, fmt.Sprintf("%q is in a script that cannot be read; give the name in Chinese characters, Latin letters or digits as it stands on the sign", r),
				fmt.Sprintf("“%c”所属的文字无法识别；请按招牌上的写法使用汉字、拉丁字母或数字", r))
		default:
			out = append(out, name)
		}
	}
	return out
}

func (p *siteParser) reference(v value, field string, i int) pipeline.Reference {
	r := pipeline.Reference{Kind: "", Name: ""}
	m := p.mapping(v, field, "kind", "name", "photo", "crop", "valid_from", "valid_to", "negative", "sites")
	if !v.is(isMapping) {
		return r
	}
	r.Kind = pipeline.ReferenceKind(p.required(m, field, "kind"))
	if _, ok := elementOf[r.Kind]; !ok && r.Kind != "" {
		unknown := unknownKind()
		p.add(UnknownKind, field+".kind", string(r.Kind), unknown.EN, unknown.ZH)
	}
	r.Name = fmt.Sprintf("%s %d", r.Kind, i+1)
	if n, ok := m["name"]; ok {
		r.Name = p.text(n, field+".name", maxNameRunes)
	}
	if path := p.required(m, field, "photo"); path != "" {
		media, err := p.photo(path)
		if err != nil {
			why := photoTrouble(err)
			p.add(MissingPhoto, field+".photo", path, "cannot be used: "+why.EN+"; the path is relative to the site file", "无法使用："+why.ZH+"；路径相对于地点文件")
		}
		r.Media = media
	}
	if c, ok := m["crop"]; ok {
		r.Crop = p.crop(c, field+".crop")
	}
	if d, ok := m["valid_from"]; ok {
		r.ValidFrom = p.day(d, field+".valid_from", false)
	}
	if d, ok := m["valid_to"]; ok {
		r.ValidTo = p.day(d, field+".valid_to", true)
	}
	if v, ok := m["negative"]; ok {
		r.Negative = p.flag(v, field+".negative")
	}
	if v, ok := m["sites"]; ok {
		r.Sites = p.sites(v, field+".sites", r)
	}
	if !r.ValidFrom.IsZero() && !r.ValidTo.IsZero() && r.ValidTo.Before(r.ValidFrom) {
		p.add(BadDates, field+".valid_to", m["valid_to"].scalar, "lies before valid_from; swap or correct the dates", "早于 valid_from；请更正日期顺序")
	}
	return r
}

func (p *siteParser) flag(v value, field string) bool {
	b, err := strconv.ParseBool(v.scalar)
	if err != nil || !v.is(isScalar) {
		p.add(BadValue, field, v.show(), "must be true or false", "必须是 true 或 false")
	}
	return b
}

// sites reads where a poster hangs.
func (p *siteParser) sites(v value, field string, r pipeline.Reference) []string {
	if r.Kind != pipeline.RefPoster || r.Negative {
		p.add(BadValue, field, "", "is for posters of the company alone; leave it out", "仅适用于本公司的海报；请删除")
		return nil
	}
	var out []string
	for i, item := range p.list(v, field, maxSites) {
		if id := p.text(item, fmt.Sprintf("%s[%d]", field, i), maxNameRunes); id != "" {
			out = append(out, id)
		}
	}
	return out
}

// crop reads {x, y, w, h} or [x1, y1, x2, y2], in pixels of the photo as it is shown.
func (p *siteParser) crop(v value, field string) *pipeline.Box {
	var n [4]int
	ok := true
	number := func(i int, v value) {
		k, err := strconv.Atoi(v.scalar)
		n[i] = k
		ok = ok && err == nil && v.is(isScalar) && k >= 0 && k <= 1<<20
	}
	form := "must be {x, y, w, h} or [x1, y1, x2, y2] in whole pixels, not empty"
	zh := "必须是 {x, y, w, h} 或 [x1, y1, x2, y2]，单位为整像素，且不能为空"
	switch {
	case v.is(isMapping):
		before := len(p.problems)
		m := p.mapping(v, field, "x", "y", "w", "h")
		if len(p.problems) > before {
			return nil
		}
		for i, k := range []string{"x", "y", "w", "h"} {
			number(i, m[k])
		}
	case v.is(isList) && len(v.list) == 4:
		for i, item := range v.list {
			number(i, item)
		}
		n[2], n[3] = n[2]-n[0], n[3]-n[1]
	default:
		ok = false
	}
	if !ok || n[2] <= 0 || n[3] <= 0 {
		p.add(BadCrop, field, v.show(), form, zh)
		return nil
	}
	return &pipeline.Box{X: n[0], Y: n[1], W: n[2], H: n[3]}
}

// photoTrouble says why a photo's file cannot be used.
func photoTrouble(err error) pipeline.Text {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return pipeline.Text{EN: "there is no such file", ZH: "文件不存在"}
	case errors.Is(err, fs.ErrPermission):
		return pipeline.Text{EN: "it may not be read", ZH: "没有读取权限"}
	case errors.Is(err, pipeline.ErrNotRegular):
		return pipeline.Text{EN: "it is not a file", ZH: "不是普通文件"}
	}
	var inner *os.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return pipeline.Text{EN: err.Error(), ZH: "无法读取"}
}

// day reads a day (end: its last moment) in the site's time zone, or an RFC 3339 time.
func (p *siteParser) day(v value, field string, end bool) time.Time {
	s := p.text(v, field, maxNameRunes)
	if s == "" {
		return time.Time{}
	}
	if t, err := time.ParseInLocation(dayForm, s, p.zone); err == nil && t.Year() > 1 {
		if end {
			return t.AddDate(0, 0, 1).Add(-time.Nanosecond)
		}
		return t
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil && t.Year() > 1 {
		return t
	}
	p.add(BadValue, field, s, "is not a day; write it as 2026-03-31", "不是有效日期；请写成 2026-03-31")
	return time.Time{}
}

// unknownKind says which kinds there are.
func unknownKind() pipeline.Text {
	return pipeline.Text{EN: "is not a kind of reference; use sign, logo, storefront, poster, desk, cabinet or room",
		ZH: "不是有效的参考类型；请使用 sign、logo、storefront、poster、desk、cabinet 或 room"}
}
