package directory

import (
	"context"

	"github.com/yizhen/yizhen/pkg/authn"
)

// Callers finds out who calls by what they show: a token of the credentials file, which the administrators of a machine and the
// services themselves have, or an API key that the access service knows.
type Callers struct {
	Credentials *authn.Credentials
	Directory   *Directory
}

var _ authn.Authenticator = Callers{}

// Authenticate implements authn.Authenticator.
func (c Callers) Authenticate(ctx context.Context) (*authn.Principal, error) {
	token, ok := authn.BearerOf(ctx)
	if !ok {
		return nil, authn.Unauthenticated()
	}
	if who := c.Credentials.Find(token); who != nil {
		return who, nil
	}
	who, err := c.Directory.ByKey(token)
	if err != nil {
		return nil, err
	}
	if who == nil {
		return nil, authn.Unauthenticated()
	}
	return who, nil
}
