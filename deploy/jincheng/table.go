package jincheng

import (
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// table is a table for the terminal. Columns line up whatever the script: a Chinese character is two cells wide.
type table struct {
	title string
	head  []string
	// right marks the columns of figures, which are set to the right.
	right []bool
	rows  [][]string
	// foot is the last row, below a line; nil for none.
	foot []string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print(w io.Writer) {
	lines := append([][]string{t.head}, t.rows...)
	if t.foot != nil {
		lines = append(lines, t.foot)
	}
	widths := make([]int, len(t.head))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], runewidth.StringWidth(cell))
		}
	}
	fmt.Fprintf(w, "\n%s\n", t.title)
	rule := strings.Repeat("─", sum(widths)+2*(len(widths)-1))
	fmt.Fprintln(w, rule)
	t.line(w, widths, t.head)
	fmt.Fprintln(w, rule)
	for _, row := range t.rows {
		t.line(w, widths, row)
	}
	if t.foot != nil {
		fmt.Fprintln(w, rule)
		t.line(w, widths, t.foot)
	}
}

func (t *table) line(w io.Writer, widths []int, cells []string) {
	padded := make([]string, len(cells))
	for i, cell := range cells {
		if i < len(t.right) && t.right[i] {
			padded[i] = runewidth.FillLeft(cell, widths[i])
		} else {
			padded[i] = runewidth.FillRight(cell, widths[i])
		}
	}
	fmt.Fprintln(w, strings.TrimRight(strings.Join(padded, "  "), " "))
}

func sum(numbers []int) (total int) {
	for _, n := range numbers {
		total += n
	}
	return total
}

const (
	fenPerYuan   = 100
	fenPerYiYuan = 100_000_000 * fenPerYuan // 亿元, a hundred million yuan
)

// yiYuan writes an amount in 亿元 with two decimals, as the press gives it, rounded half up.
func yiYuan(fen int64) string {
	hundredths := (fen + fenPerYiYuan/200) / (fenPerYiYuan / 100)
	return fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
}

// yuan writes an amount to the fen, with a comma at every third digit.
func yuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return fmt.Sprintf("%s%s.%02d", sign, thousands(fen/fenPerYuan), fen%fenPerYuan)
}

func thousands(n int64) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
