package scene

import "strings"

// lookalikes lists characters, in the form of key, that the same printed shape may be read as. Letters and digits: what OCR evaluations
// list as usual confusions, in lower case (key has no upper case, so the pairs of both cases are here). Chinese characters: those that
// differ by one stroke or its length.
const lookalikes = `
o0 oq od oc 0q 0d il i1 l1 it lt ij s5 b8 b6 z2 g9 g6 q9 uv vy uy cg ce nh mn rn vw ft pf ao kx 4a 7t 71 3b sb db 未末 己已 已巳 己巳 土士 日曰 目日
人入 人八 入八 干千 干于 千于 大太 大犬 太犬 天夫 木本 木术 本术 刀力 力刁 王玉 王主 玉主 石右 右古 田由 由甲 甲申 田甲 田申 由申 牛午 午干 贝见 乌鸟 免兔 侯候 晴睛 清情 清请 拔拨 析折 治冶 冷泠 今令 壶壸 茶荼 菜莱 农衣 问间
间闻 闲间 闪问 店庄 床庆 庆厌 厅斤 广厂 压庄 历厉 乐东 东车 办为 为力 卖买 名各 吉古 合台 会合 全金 余金 品晶 口囗 口日 因困 圆园 困囚 团困 外处 夕歹 失夫 头买 女文 文交 支文 友反 发友 又叉 义叉 氏民 氐氏 永水 冰水 气乞 火灭
点占 照昭 爪瓜 爪爫 片牛 瓦互 生牛 用甩 皮反 盆盒 直真 具真 其具 秀季 李季 禾木 和知 称你 科料 租祖 福副 神伸 种钟 米来 未来 素紫 索素 老考 者老 而面 耳目 肉内 朋明 服报 胡湖 脂指 臣巨 白自 自目 白百 百自 首百 至全 色包 句包
芒芷 花化 苹萍 草章 药约 虫中 西酉 西四 要西 角用 言信 计订 让计 设没 诗待 待侍 侍诗 贡贾 货贷 费贵 贵责 质贡 足是 路跑 软较 送选 通道 速连 进近 那邪 部陪 酒洒 里黑 量重 重童 铁钱 钱线 银很 锅祸 锋峰 锁琐 长氏 门问 阳阴 降隆
院完 隹佳 佳住 往住 雨两 雪雷 青责 页贝 顶项 顺须 风凤 飞乙 食良 饭板 饮软 馆官 马乌 鸡鸣 鸭鸣 鱼鲁 鲜鲁 麦麥 黄贡 少小 尔你 尚向 向问 局居 屋层 山出 岛鸟 川州 工土 工士 左右 差羊 羊半 布市 市巾 常堂 堂赏 师帅 平乎 年午 幸辛
序库 底低 应庄 康庸 建健 张长 强张 录绿 影彩 形刑 必心 忘忙 怡恰 思恩 悦说 惠思 慧惠 成城 我找 戏划 房户 户尸 手毛 扫归 技枝 把肥 折拆 招拓 持特 挂桂
`

var alikePairs = func() map[[2]rune]bool {
	m := map[[2]rune]bool{}
	for _, p := range strings.Fields(lookalikes) {
		r := []rune(p)
		m[[2]rune{r[0], r[1]}], m[[2]rune{r[1], r[0]}] = true, true
	}
	return m
}()

// alike tells whether a reader easily takes one character for the other.
func alike(a, b rune) bool { return alikePairs[[2]rune{a, b}] }
