package access

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/journal"
	"github.com/yizhen/yizhen/pkg/record"
	"github.com/yizhen/yizhen/pkg/store"
	accessv1 "github.com/yizhen/yizhen/proto/yizhen/access/v1"
)

// maxKeyAge is the longest that a key is accepted: a year, and some weeks to change it in.
const maxKeyAge = 400 * 24 * time.Hour

// apiKeysByDigest finds the key of a digest.
var apiKeysByDigest = store.Index[*accessv1.ApiKey]{
	Name: "digest",
	Keys: func(k *accessv1.ApiKey) []string { return []string{k.GetKeySha256()} },
}

// CreateApiKey implements the AccessControl service.
func (s *Server) CreateApiKey(ctx context.Context, req *accessv1.CreateApiKeyRequest) (*accessv1.ApiKey, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*accessv1.ApiKey, error) {
		if err := s.checkHolder(tx, req.GetParent()); err != nil {
			return nil, err
		}
		key := record.New(req.GetApiKey(), req.GetParent()+"/apiKeys/"+req.GetApiKeyId())
		key.State = APIKeyLifecycle.Initial
		if err := s.checkPatterns("api_key.permissions", key.GetPermissions()); err != nil {
			return nil, err
		}
		if err := checkKeyPeriod("api_key.expire_time", tx.Now(), key.GetExpireTime()); err != nil {
			return nil, err
		}
		if err := free(tx, s.apiKeys, apiKeysByDigest, key, "api_key.key_sha256"); err != nil {
			return nil, err
		}
		return record.Create(tx, s.apiKeys, key)
	})
}

// GetApiKey implements the AccessControl service.
func (s *Server) GetApiKey(ctx context.Context, req *accessv1.GetApiKeyRequest) (*accessv1.ApiKey, error) {
	return record.Get(ctx, s.db, s.apiKeys, req.GetName())
}

// ListApiKeys implements the AccessControl service.
func (s *Server) ListApiKeys(ctx context.Context, req *accessv1.ListApiKeysRequest) (*accessv1.ListApiKeysResponse, error) {
	prefix := req.GetParent() + "/apiKeys/"
	if req.GetParent() == "principals/-" {
		prefix = "principals/"
	}
	keys, next, err := record.List(ctx, s.db, s.apiKeys, prefix, req)
	if err != nil {
		return nil, err
	}
	return &accessv1.ListApiKeysResponse{ApiKeys: keys, NextPageToken: next}, nil
}

// RotateApiKey implements the AccessControl service. The new key and the end of the old one are one change: there is no
// moment without a key.
func (s *Server) RotateApiKey(ctx context.Context, req *accessv1.RotateApiKeyRequest) (*accessv1.ApiKey, error) {
	return record.Do(ctx, s.db, req, func(tx *journal.Tx) (*accessv1.ApiKey, error) {
		old, err := record.Load(tx, s.apiKeys, req.GetName())
		if err != nil {
			return nil, err
		}
		if err := record.CheckETag(old, req.GetEtag()); err != nil {
			return nil, err
		}
		if err := record.Advance(ctx, tx, req, APIKeyLifecycle, "rotate", old); err != nil {
			return nil, err
		}
		key := successor(old, req)
		if err := s.checkSuccessor(tx, key); err != nil {
			return nil, err
		}
		if over := tx.Now().Add(req.GetOverlap().AsDuration()); over.Before(old.GetExpireTime().AsTime()) {
			old.ExpireTime = timestamppb.New(over)
		}
		if _, err := record.Save(tx, s.apiKeys, old); err != nil {
			return nil, err
		}
		return record.Create(tx, s.apiKeys, key)
	})
}

// successor returns the key that takes the place of an old one: it has its bounds, and its time.
func successor(old *accessv1.ApiKey, req *accessv1.RotateApiKeyRequest) *accessv1.ApiKey {
	return &accessv1.ApiKey{
		Name:        holderOf(old.GetName()) + "/apiKeys/" + req.GetApiKeyId(),
		Title:       old.GetTitle(),
		KeySha256:   req.GetKeySha256(),
		Permissions: old.GetPermissions(),
		ExpireTime:  old.GetExpireTime(),
		State:       APIKeyLifecycle.Initial,
	}
}

// checkSuccessor refuses a key of a holder that may have none any more, or in the place of one that has expired.
func (s *Server) checkSuccessor(tx *journal.Tx, key *accessv1.ApiKey) error {
	if err := s.checkHolder(tx, holderOf(key.GetName())); err != nil {
		return err
	}
	if err := checkKeyPeriod("name", tx.Now(), key.GetExpireTime()); err != nil {
		return err
	}
	return free(tx, s.apiKeys, apiKeysByDigest, key, "key_sha256")
}

func holderOf(key string) string {
	principal, _, _ := strings.Cut(key, "/apiKeys/")
	return principal
}

// RevokeApiKey implements the AccessControl service.
func (s *Server) RevokeApiKey(ctx context.Context, req *accessv1.RevokeApiKeyRequest) (*accessv1.ApiKey, error) {
	return record.Follow(ctx, s.db, s.apiKeys, req, APIKeyLifecycle, "revoke", nil)
}

// checkHolder refuses a principal that may get no key: only systems that may call do.
func (s *Server) checkHolder(r store.Reader, name string) error {
	p, err := record.Load(r, s.principals, name)
	if err != nil {
		return err
	}
	if p.GetKind() != accessv1.Principal_KIND_SYSTEM {
		return personHasNoKey(name)
	}
	return active(p)
}

// checkPatterns refuses a pattern that matches no permission: it is a mistake, and permits nothing until somebody finds out.
func (s *Server) checkPatterns(field string, patterns []string) error {
	for i, pattern := range patterns {
		if !s.declared.Matched(pattern) {
			return permissionUnknown(fmt.Sprintf("%s[%d]", field, i), pattern)
		}
	}
	return nil
}

func checkKeyPeriod(field string, now time.Time, expire *timestamppb.Timestamp) error {
	switch end := expire.AsTime(); {
	case !expire.IsValid():
		return periodInvalid(field, "不是有效的时间", "is no time")
	case !end.After(now):
		return periodInvalid(field, "已经过去；请另建密钥", "is over already: make a key that is not")
	case end.After(now.Add(maxKeyAge)):
		return periodInvalid(field, "密钥的有效期至多 400 天", "a key is valid for at most 400 days")
	}
	return nil
}
