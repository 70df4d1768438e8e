package builtins

import (
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// guard returns an error for operands that the builtin must not get.
type guard func(topdown.BuiltinContext, []*ast.Term) error

// Install replaces OPA's builtins by ours. It changes a table that evaluations read without a lock, so it must
// be called before the first of them; a second call does nothing.
var Install = sync.OnceFunc(func() {
	for _, decl := range ast.Builtins {
		opas := topdown.GetBuiltin(decl.Name)
		if opas == nil || asOPA[decl.Name] {
			continue // nil: the compiler replaces it
		}
		if replaced[decl.Name] != nil {
			// OPA gives those that it believes need none an empty context, in which there is no deadline.
			decl.CanSkipBctx = false
		}
		topdown.RegisterBuiltinFunc(decl.Name, halting(decl.Name, ours(decl.Name, opas)))
	}
})

// MayEnd reports whether a builtin may refuse operands for what they would cost, which ends an evaluation even where
// builtins that fail are undefined. All builtins refuse numbers of too many digits, which no input and no data holds.
func MayEnd(name string) bool {
	return refused[name] || replaced[name] != nil || guards[name] != nil
}

func ours(name string, opas topdown.BuiltinFunc) topdown.BuiltinFunc {
	if refused[name] {
		return refuse
	}
	if f, ok := replaced[name]; ok {
		return f(opas)
	}
	check, ok := guards[name]
	if !ok {
		check = small
	}
	return func(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
		if err := check(bctx, operands); err != nil {
			return err
		}
		return opas(bctx, operands, iter)
	}
}

// refused would reach out of the process. The compiler refuses them as well; see dialect.UnsafeBuiltins.
var refused = map[string]bool{
	ast.HTTPSend.Name:        true,
	ast.NetLookupIPAddr.Name: true,
}

var errRefused = refusal("a builtin must not reach out of the process")

func refuse(topdown.BuiltinContext, []*ast.Term, func(*ast.Term) error) error { return errRefused }

// replaced are implementations of ours, some of which use OPA's.
var replaced = map[string]func(opas topdown.BuiltinFunc) topdown.BuiltinFunc{
	ast.GlobMatch.Name:             own(globMatch),
	ast.IndexOf.Name:               own(indexOf),
	ast.IndexOfN.Name:              own(indexOfN),
	ast.JSONMatchSchema.Name:       matchSchema,
	ast.JSONPatch.Name:             patch,
	ast.JSONSchemaVerify.Name:      verifySchema,
	ast.JSONUnmarshal.Name:         shortResult(guardJSON),
	ast.ReachableBuiltin.Name:      own(reachable),
	ast.ReachablePathsBuiltin.Name: own(reachablePaths),
	ast.RegexReplace.Name:          own(regexReplace),
	ast.RenderTemplate.Name:        own(renderTemplate),
	ast.ToNumber.Name:              shortResult(small),
	ast.UnitsParse.Name:            shortResult(words),
	ast.UnitsParseBytes.Name:       shortResult(words),
	ast.YAMLUnmarshal.Name:         shortResult(guardYAML),
}

func own(f topdown.BuiltinFunc) func(topdown.BuiltinFunc) topdown.BuiltinFunc {
	return func(topdown.BuiltinFunc) topdown.BuiltinFunc { return f }
}

// shortResult is for builtins that make numbers of text: what they return must pass as an operand.
func shortResult(check guard) func(topdown.BuiltinFunc) topdown.BuiltinFunc {
	return func(opas topdown.BuiltinFunc) topdown.BuiltinFunc {
		return func(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
			if err := check(bctx, operands); err != nil {
				return err
			}
			return opas(bctx, operands, func(t *ast.Term) error {
				if err := small(bctx, []*ast.Term{t}); err != nil {
					return err
				}
				return iter(t)
			})
		}
	}
}

// guards are the builtins whose operands need another look than [small].
var guards = map[string]guard{
	ast.ProvidersAWSSignReqObj.Name:       smallText(maxSource),
	ast.Abs.Name:                          numbers,
	ast.ArrayConcat.Name:                  guardConcatArrays,
	ast.ArrayFlatten.Name:                 guardFlatten,
	ast.BitsAnd.Name:                      numbers,
	ast.BitsNegate.Name:                   numbers,
	ast.BitsOr.Name:                       numbers,
	ast.BitsShiftLeft.Name:                guardShift,
	ast.BitsShiftRight.Name:               numbers,
	ast.BitsXOr.Name:                      numbers,
	ast.Ceil.Name:                         numbers,
	ast.Concat.Name:                       guardConcat,
	ast.Divide.Name:                       numbers,
	ast.Equal.Name:                        guardCompare,
	ast.Floor.Name:                        numbers,
	ast.Format.Name:                       guardTime,
	ast.GlobsMatch.Name:                   words,
	ast.GreaterThan.Name:                  guardCompare,
	ast.GreaterThanEq.Name:                guardCompare,
	ast.InternalPrint.Name:                guardPrint,
	ast.InternalTemplateString.Name:       guardPrint,
	ast.JSONMarshalWithOptions.Name:       guardIndent,
	ast.LessThan.Name:                     guardCompare,
	ast.LessThanEq.Name:                   guardCompare,
	ast.Member.Name:                       needle(1),
	ast.MemberWithKey.Name:                needle(2),
	ast.Minus.Name:                        numbers,
	ast.Multiply.Name:                     numbers,
	ast.NetCIDRContainsMatches.Name:       guardPairs(1 << 20),
	ast.NetCIDRExpand.Name:                guardExpand,
	ast.NetCIDRMerge.Name:                 guardItems(1 << 15),
	ast.NotEqual.Name:                     guardCompare,
	ast.NumbersRange.Name:                 guardRange,
	ast.NumbersRangeStep.Name:             guardRange,
	ast.ObjectSubset.Name:                 guardPairs(1 << 26),
	ast.ParseDurationNanos.Name:           words,
	ast.Plus.Name:                         numbers,
	ast.Product.Name:                      guardProduct,
	ast.RegexFind.Name:                    guardRegex,
	ast.RegexFindAllStringSubmatch.Name:   guardRegex,
	ast.RegexIsValid.Name:                 smallText(MaxPattern),
	ast.RegexMatch.Name:                   guardRegex,
	ast.RegexMatchDeprecated.Name:         guardRegex,
	ast.RegexSplit.Name:                   guardRegex,
	ast.RegexTemplateMatch.Name:           guardRegex,
	ast.RegoParseModule.Name:              guardRego,
	ast.Rem.Name:                          numbers,
	ast.Replace.Name:                      guardReplace,
	ast.ReplaceN.Name:                     guardReplaceN,
	ast.Round.Name:                        numbers,
	ast.Split.Name:                        guardSplit,
	ast.SplitN.Name:                       guardSplit,
	ast.Sprintf.Name:                      guardSprintf,
	ast.Trim.Name:                         guardTrim,
	ast.TrimLeft.Name:                     guardTrim,
	ast.TrimRight.Name:                    guardTrim,
	ast.URLQueryDecodeObject.Name:         guardQuery,
	ast.YAMLMarshal.Name:                  smallValues(MaxValues / 8),
	ast.YAMLIsValid.Name:                  guardYAML,
	ast.AddDate.Name:                      guardTime,
	ast.Clock.Name:                        guardTime,
	ast.Date.Name:                         guardTime,
	ast.Diff.Name:                         guardTime,
	ast.Weekday.Name:                      guardTime,
	ast.SemVerCompare.Name:                words,
	ast.SemVerIsValid.Name:                words,
	ast.GraphQLIsValid.Name:               guardGraphQL,
	ast.GraphQLParse.Name:                 guardGraphQL,
	ast.GraphQLParseAndVerify.Name:        guardGraphQL,
	ast.GraphQLParseQuery.Name:            guardSource,
	ast.GraphQLParseSchema.Name:           guardSource,
	ast.GraphQLSchemaIsValid.Name:         guardSource,
	ast.JWTEncodeSign.Name:                smallText(maxPrivateKey),
	ast.JWTEncodeSignRaw.Name:             smallText(maxPrivateKey),
	ast.CryptoParsePrivateKeys.Name:       smallText(maxPrivateKey),
	ast.CryptoX509ParseKeyPair.Name:       smallText(maxPrivateKey),
	ast.CryptoX509ParseRSAPrivateKey.Name: smallText(maxPrivateKey),

	ast.CryptoX509ParseAndVerifyCertificates.Name:            smallText(MaxPattern),
	ast.CryptoX509ParseAndVerifyCertificatesWithOptions.Name: smallText(MaxPattern),
	ast.CryptoX509ParseCertificateRequest.Name:               smallText(MaxPattern),
	ast.CryptoX509ParseCertificates.Name:                     smallText(MaxPattern),

	ast.JWTDecode.Name:       smallText(maxSource),
	ast.JWTDecodeVerify.Name: guardToken,
	ast.JWTVerifyES256.Name:  guardToken,
	ast.JWTVerifyES384.Name:  guardToken,
	ast.JWTVerifyES512.Name:  guardToken,
	ast.JWTVerifyEdDSA.Name:  guardToken,
	ast.JWTVerifyHS256.Name:  smallText(maxSource),
	ast.JWTVerifyHS384.Name:  smallText(maxSource),
	ast.JWTVerifyHS512.Name:  smallText(maxSource),
	ast.JWTVerifyPS256.Name:  guardToken,
	ast.JWTVerifyPS384.Name:  guardToken,
	ast.JWTVerifyPS512.Name:  guardToken,
	ast.JWTVerifyRS256.Name:  guardToken,
	ast.JWTVerifyRS384.Name:  guardToken,
	ast.JWTVerifyRS512.Name:  guardToken,
}

// asOPA are builtins that read only the top of their operands, or all of it where the evaluator looks at the
// deadline, in linear time, and return no more than they were given. They convert no number.
var asOPA = setOf(
	ast.Equality, ast.Assign, ast.And, ast.Or, ast.SetDiff, ast.Intersection, ast.Union, ast.Count, ast.All, ast.Any,
	ast.ArraySlice, ast.ArrayReverse, ast.ObjectGet, ast.ObjectKeys, ast.WalkBuiltin,
	ast.Substring, ast.Contains, ast.StringCount, ast.StartsWith, ast.EndsWith, ast.Lower, ast.Upper, ast.StringReverse,
	ast.TrimPrefix, ast.TrimSuffix, ast.TrimSpace,
	ast.IsNumber, ast.IsString, ast.IsBoolean, ast.IsArray, ast.IsSet, ast.IsObject, ast.IsNull, ast.TypeNameBuiltin,
	ast.CastArray, ast.CastSet, ast.CastString, ast.CastBoolean, ast.CastNull, ast.CastObject,
	ast.NowNanos, ast.OPARuntime, ast.RegoMetadataChain, ast.RegoMetadataRule, ast.JSONIsValid, ast.Base64IsValid,
)

func setOf(decls ...*ast.Builtin) map[string]bool {
	set := map[string]bool{}
	for _, d := range decls {
		set[d.Name] = true
	}
	return set
}
