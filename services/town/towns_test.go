package town_test

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	townv1 "github.com/yizhen/yizhen/proto/yizhen/town/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

func TestTownBelongsToACountyThatIsLoaded(t *testing.T) {
	r := serve(t)
	for _, c := range []struct {
		shows, id, division string
		code                codes.Code
		reason              protoreflect.Enum
		field               string
	}{
		{"identifier of another division", "140581-casting", "140525", codes.InvalidArgument, typev1.Reason_REASON_DIVISION_MISMATCH, "town_id"},
		{"division that is not loaded", "140524-casting", "140524", codes.FailedPrecondition, townv1.Reason_REASON_DIVISION_UNKNOWN, "town.division"},
		{"a city where a county is wanted", "140500-casting", "140500", codes.FailedPrecondition, townv1.Reason_REASON_DIVISION_UNKNOWN, "town.division"},
	} {
		t.Run(c.shows, func(t *testing.T) {
			_, err := r.as(city).CreateTown(t.Context(), &townv1.CreateTownRequest{TownId: c.id, Town: aTown(c.division)})
			wantRefusal(t, err, c.code, c.reason, "field="+c.field)
		})
	}
}

func TestTownsOfACounty(t *testing.T) {
	r := serve(t)
	r.enter(casting, honey, silk)
	for _, c := range []struct {
		shows, who, division string
		want                 []string
	}{
		{"the city sees all", city, "", []string{casting, honey, silk}},
		{"the city asks for a county", city, "140581", []string{silk}},
		{"the city asks for the city", city, "140500", []string{casting, honey, silk}},
		{"a county sees its own", zezhou, "", []string{casting, honey}},
		{"a county asks for its own", gaoping, "140581", []string{silk}},
	} {
		t.Run(c.shows, func(t *testing.T) {
			res, err := r.as(c.who).ListTowns(t.Context(), &townv1.ListTownsRequest{Division: c.division})
			ok(t, err)
			var got []string
			for _, town := range res.GetTowns() {
				got = append(got, town.GetName())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("sees %v, want %v", got, c.want)
			}
		})
	}
	_, err := r.as(zezhou).ListTowns(t.Context(), &townv1.ListTownsRequest{Division: "140500"})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
	_, err = r.as(zezhou).CreateTown(t.Context(), &townv1.CreateTownRequest{TownId: "140581-x", Town: aTown("140581")})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
}

func TestTownKeepsItsDivision(t *testing.T) {
	r := serve(t)
	r.enter(casting)
	_, err := r.as(city).UpdateTown(t.Context(), &townv1.UpdateTownRequest{
		Town: &townv1.Town{Name: casting, Division: "140581"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"division"}},
	})
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_UPDATE_MASK)
	_, err = r.as(city).UpdateTown(t.Context(), &townv1.UpdateTownRequest{
		Town: &townv1.Town{Name: casting}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"industry_codes"}},
	})
	wantRefusal(t, err, codes.InvalidArgument, typev1.Reason_REASON_INVALID_FIELD, "field=industry_codes")
	_, err = r.as(city).UpdateTown(t.Context(), &townv1.UpdateTownRequest{Town: &townv1.Town{Name: "nothing like a town", TitleZh: "x"}})
	wantRefusal(t, err, codes.PermissionDenied, typev1.Reason_REASON_OUTSIDE_DIVISION)
}
