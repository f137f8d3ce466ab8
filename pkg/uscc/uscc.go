// Package uscc checks unified social credit codes, by which China knows every enterprise and
// organisation.
//
// GB 32100-2015: 18 characters. The 1st is the registering department, the 2nd the kind of organisation, the
// 3rd to 8th the division of registration (GB/T 2260), the 9th to 17th the organisation code (GB 11714, whose
// own last character checks it), the 18th checks the whole.
package uscc

import (
	"errors"
	"strings"
)

// The rules a code may break.
var (
	// ErrForm: not 18 characters of the code's alphabet, which has no I, O, S, V or Z.
	ErrForm = errors.New("a unified social credit code has 18 digits or capital letters other than I, O, S, V and Z")
	// ErrOrganisationCheck: the 17th character does not check the organisation code before it.
	ErrOrganisationCheck = errors.New("the 17th character does not check the organisation code in characters 9 to 16 (GB 11714)")
	// ErrCheck: the 18th character does not check the code.
	ErrCheck = errors.New("the 18th character does not check the first 17 (GB 32100)")
)

const alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"

var (
	weights             = [17]int{1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28}
	organisationWeights = [8]int{3, 7, 9, 10, 5, 8, 4, 2}
)

// Check returns nil for a well-formed code, or the first rule that it breaks.
func Check(code string) error {
	if len(code) != 18 {
		return ErrForm
	}
	for i := range len(code) {
		if strings.IndexByte(alphabet, code[i]) < 0 {
			return ErrForm
		}
	}
	organisation, ok := organisationCheck(code[8:16])
	if !ok || code[16] != organisation {
		return ErrOrganisationCheck
	}
	if code[17] != check(code[:17]) {
		return ErrCheck
	}
	return nil
}

// Complete appends both check characters to the first 16 characters of a code. It is how sample
// data get codes that are well formed; a real code comes from the register.
func Complete(first16 string) (string, error) {
	if len(first16) != 16 {
		return "", ErrForm
	}
	for i := range len(first16) {
		if strings.IndexByte(alphabet, first16[i]) < 0 {
			return "", ErrForm
		}
	}
	c, ok := organisationCheck(first16[8:])
	if !ok {
		return "", ErrForm
	}
	code := first16 + string(c)
	return code + string(check(code)), nil
}

func check(first17 string) byte {
	sum := 0
	for i := range len(first17) {
		sum += strings.IndexByte(alphabet, first17[i]) * weights[i]
	}
	return alphabet[(31-sum%31)%31]
}

// organisationCheck computes the check character of an organisation code. GB 11714 counts digits as 0 to 9
// and letters as 10 to 35, all 26 of them.
func organisationCheck(first8 string) (c byte, ok bool) {
	sum := 0
	for i := range len(first8) {
		var v int
		switch b := first8[i]; {
		case b >= '0' && b <= '9':
			v = int(b - '0')
		case b >= 'A' && b <= 'Z':
			v = int(b-'A') + 10
		default:
			return 0, false
		}
		sum += v * organisationWeights[i]
	}
	switch v := 11 - sum%11; v {
	case 10:
		return 'X', true
	case 11:
		return '0', true
	default:
		return byte('0' + v), true
	}
}
