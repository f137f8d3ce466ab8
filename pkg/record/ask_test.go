package record_test

import (
	"errors"
	"testing"

	"github.com/yizhen/yizhen/pkg/record"
	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
)

func TestAsk(t *testing.T) {
	b := setUp(t)
	li := as("zezhou/li", "UpdateTown")
	asked := 0
	ask := func(id, title string) (string, error) {
		req := &townv1.UpdateTownRequest{Town: &townv1.Town{Name: casting, TitleZh: title}, RequestId: id}
		return record.Ask(li, b.db, req, func() (string, error) {
			asked++
			return "word", nil
		})
	}
	for n, id := range []string{"", "", "r-1", "r-1"} {
		if word, err := ask(id, "陶瓷"); word != "word" || err != nil || asked != n+1 {
			t.Errorf("of %q that was not carried out: %q, %v, asked %d times", id, word, err, asked)
		}
	}
	if _, _, err := b.retitle(li, "r-1", "陶瓷"); err != nil {
		t.Fatal(err)
	}
	for _, title := range []string{"陶瓷", "铸造"} { // that the id is used for another request is for Do to say
		if word, err := ask("r-1", title); word != "" || err != nil || asked != 4 {
			t.Errorf("of one that was carried out: %q, %v, asked %d times", word, err, asked)
		}
	}
	down := errors.New("down")
	req := &townv1.UpdateTownRequest{Town: &townv1.Town{Name: casting}, RequestId: "r-2"}
	if _, err := record.Ask(li, b.db, req, func() (string, error) { return "", down }); !errors.Is(err, down) {
		t.Errorf("told %v", err)
	}
}
