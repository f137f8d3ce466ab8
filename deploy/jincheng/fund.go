package jincheng

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/yizhen/yizhen/pkg/civil"
	fundv1 "github.com/yizhen/yizhen/proto/yizhen/fund/v1"
	typev1 "github.com/yizhen/yizhen/proto/yizhen/type/v1"
)

const (
	budget = "budgets/2023"
	line   = budget + "/lines/key-projects"
	call   = "calls/2023-key-projects"
)

func (s *story) adoptBudget(ctx context.Context) error {
	err := s.create(ctx, fundOffice, budget, &fundv1.Budget{Title: "2023年专业镇专项资金（样例）", Sources: []*fundv1.Source{
		{Title: "市级财政", AmountFen: 8_000 * fenPerWanYuan},
		{Title: "省级转移支付", AmountFen: 2_000 * fenPerWanYuan},
	}})
	if err != nil {
		return err
	}
	if err := s.step(ctx, fundOffice, budget, "adopt", &fundv1.AdoptBudgetRequest{Reason: "市财政批复"}, &fundv1.Budget{}); err != nil {
		return err
	}
	err = s.create(ctx, fundOffice, line, &fundv1.Line{
		Purpose: "重点项目", Action: typev1.Action_ACTION_KEY_PROJECTS, AmountFen: 6_000 * fenPerWanYuan,
	})
	if err != nil {
		return err
	}
	return s.create(ctx, fundOffice, budget+"/lines/innovation", &fundv1.Line{
		Purpose: "创新平台", Action: typev1.Action_ACTION_INNOVATION, AmountFen: 2_000 * fenPerWanYuan,
	})
}

func (s *story) openCall(ctx context.Context) error {
	err := s.create(ctx, fundOffice, call, &fundv1.Call{
		Title: "2023年重点项目投资补助（样例）", Line: line,
		Mode: fundv1.Call_MODE_INVESTMENT_SUBSIDY, Basis: fundv1.Call_BASIS_VERIFIED,
		RateBp: 1000, KeyTownExtraBp: 200, KeyTowns: []string{"towns/140525-casting"},
		CapPerApplicationFen: 1_000 * fenPerWanYuan, CapPerEnterpriseFen: 1_500 * fenPerWanYuan,
		OpenDate: civil.New(2023, 5, 4), CloseDate: civil.New(2023, 5, 31),
		TranchePlan: []*fundv1.TranchePlan{
			{Title: "设备安装后", ShareBp: 6000, Milestone: installed},
			{Title: "投产验收后", ShareBp: 4000, Milestone: "in-production"},
		},
	})
	if err != nil {
		return err
	}
	return s.step(ctx, fundOffice, call, "open", &fundv1.OpenCallRequest{}, &fundv1.Call{})
}

// applicants are the ventures that ask the fund for support.
func applicants() []venture {
	return slices.DeleteFunc(ventures(), func(v venture) bool { return v.requested == 0 })
}

// awardees are those that get it.
func awardees() []venture {
	return slices.DeleteFunc(applicants(), func(v venture) bool { return v.awarded == 0 })
}

func (s *story) applyForSupport(ctx context.Context) error {
	for _, v := range applicants() {
		code, err := creditCode(v.town, v.enterprise)
		if err != nil {
			return err
		}
		contract := sha256.Sum256([]byte("contract of " + v.id))
		name, office := "applications/"+v.id, countyOf(v.id)
		err = s.create(ctx, office, name, &fundv1.Application{
			Call: call, Town: "towns/" + v.town, Project: "projects/" + v.id, EnterpriseCode: code, Title: v.titleZH,
			EligibleInvestmentFen: v.planned * fenPerWanYuan, RequestedFen: v.requested * fenPerWanYuan,
			EvidenceSha256S: []string{hex.EncodeToString(contract[:])},
		})
		if err != nil {
			return err
		}
		if err := s.step(ctx, office, name, "submit", &fundv1.SubmitApplicationRequest{}, &fundv1.Application{}); err != nil {
			return err
		}
		err = s.step(ctx, office, name, "check", &fundv1.CheckApplicationRequest{
			VerifiedInvestmentFen: v.planned * fenPerWanYuan, Reason: "投资合同与备案一致",
		}, &fundv1.Application{})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *story) reviewApplications(ctx context.Context) error {
	for i, v := range applicants() {
		name := "applications/" + v.id
		err := s.step(ctx, fundOffice, name, "review", &fundv1.ReviewApplicationRequest{Scores: []*fundv1.ExpertScore{
			{Expert: "expert-07", Points: 91 - 9*int32(i)},
			{Expert: "expert-12", Points: 88 - 8*int32(i)},
			{Expert: "expert-31", Points: 84 - 7*int32(i)},
			{Expert: "expert-40", Recused: true, Opinion: "与申报企业有关联，回避"},
		}}, &fundv1.Application{})
		if err != nil {
			return err
		}
		if v.awarded > 0 {
			continue
		}
		err = s.step(ctx, fundOffice, name, "reject", &fundv1.RejectApplicationRequest{Reason: "评分低于入选线"}, &fundv1.Application{})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *story) announceApplications(ctx context.Context) error {
	for _, v := range awardees() {
		err := s.step(ctx, fundOffice, "applications/"+v.id, "announce", &fundv1.AnnounceApplicationRequest{}, &fundv1.Application{})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *story) award(ctx context.Context) error {
	for _, v := range awardees() {
		name := "applications/" + v.id
		err := s.step(ctx, fundOffice, name, "approve", &fundv1.ApproveApplicationRequest{AmountFen: v.awarded * fenPerWanYuan}, &fundv1.Application{})
		if err != nil {
			return err
		}
		if err := s.step(ctx, fundOffice, name, "award", &fundv1.AwardApplicationRequest{}, &fundv1.Award{}); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) pay(ctx context.Context) error {
	for i, v := range awardees() {
		tranche := "awards/" + v.id + "/tranches/1"
		if err := s.step(ctx, fundOffice, tranche, "prove", &fundv1.ProveTrancheRequest{}, &fundv1.Tranche{}); err != nil {
			return err
		}
		if err := s.disburse(ctx, v, "disbursements/"+v.id+"-1", fmt.Sprintf("62220100000000%02d", i)); err != nil {
			return err
		}
	}
	return nil
}

// disburse prepares, checks and sends one payment, each by somebody else.
func (s *story) disburse(ctx context.Context, v venture, name, account string) error {
	err := s.create(ctx, maker, name, &fundv1.Disbursement{
		Tranche: "awards/" + v.id + "/tranches/1", Payee: v.titleZH + "建设单位", PayeeAccount: account, PayeeBank: "样例银行晋城支行",
	})
	if err != nil {
		return err
	}
	if err := s.step(ctx, checker, name, "check", &fundv1.CheckDisbursementRequest{}, &fundv1.Disbursement{}); err != nil {
		return err
	}
	return s.step(ctx, payer, name, "send", &fundv1.SendDisbursementRequest{}, &fundv1.Disbursement{})
}

// returned is the awardee whose first payment comes back.
const returned = 1

func (s *story) hearFromBank(ctx context.Context) error {
	for i, v := range awardees() {
		name := "disbursements/" + v.id + "-1"
		var err error
		if i == returned {
			err = s.step(ctx, payer, name, "return", &fundv1.ReturnDisbursementRequest{
				BankReference: "R-2023-0914-1", Reason: "账号与户名不符",
			}, &fundv1.Disbursement{})
		} else {
			err = s.confirm(ctx, name, fmt.Sprintf("P-2023-0914-%d", i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *story) confirm(ctx context.Context, name, reference string) error {
	return s.step(ctx, payer, name, "confirm", &fundv1.ConfirmDisbursementRequest{BankReference: reference}, &fundv1.Disbursement{})
}

func (s *story) payAgain(ctx context.Context) error {
	v := awardees()[returned]
	name := "disbursements/" + v.id + "-1-again"
	if err := s.disburse(ctx, v, name, "6222010000000091"); err != nil {
		return err
	}
	return s.confirm(ctx, name, "P-2023-0920-1")
}
