//! Assertions of `node:assert`, and of `expect`.

use tree_sitter::Node;

use super::super::body::{Asked, Kind};
use super::super::tokens::Tokens;
use super::{Reader, arguments_of};
use crate::check::syntax;

impl Reader<'_> {
    pub(super) fn assertion(&self, node: Node<'_>, function: Node<'_>, nodes: &[Node<'_>]) -> Option<Asked> {
        let said = self.said(function);
        let given: Vec<Tokens> = nodes.iter().map(|n| self.tokens(*n)).collect();
        let first = said.split(['.', '(']).next().unwrap_or_default();
        if first == "expect" && function.kind() == "member_expression" {
            return self.expectation(node, function, given);
        }
        let own = self.asserts.iter().find(|(_, alias)| alias == said);
        let name = match own {
            Some((name, _)) if said != "assert" && name != "default" && name != "assert" => name.as_str(),
            _ if first == "assert" || said.starts_with("t.assert") || own.is_some() => {
                said.rsplit('.').next().unwrap_or(said)
            }
            _ => return None,
        };
        let (kind, arity) = match name {
            "assert" | "ok" | "strict" => (Kind::Holds, 1),
            n if own.is_some() && n == said && said != "assert" && !is_method(n) => (Kind::Holds, 1),
            "equal" | "strictEqual" | "deepEqual" | "deepStrictEqual" => (Kind::Equal, 2),
            "partialDeepStrictEqual" => (Kind::Contains, 2),
            "notEqual" | "notStrictEqual" | "notDeepEqual" | "notDeepStrictEqual" => (Kind::Differs, 2),
            "match" | "doesNotMatch" => (Kind::Like, 2),
            "throws" | "rejects" => {
                let what = given.get(1).cloned().filter(|t| t.as_slice() != ["Error"]);
                return Some(Asked {
                    kind: Kind::Throws,
                    of: vec![
                        what.unwrap_or_else(|| vec!["Exception".to_owned()]),
                        given.into_iter().next().unwrap_or_default(),
                    ],
                });
            }
            "doesNotThrow" | "doesNotReject" | "ifError" => {
                return Some(Asked { kind: Kind::Works, of: given.into_iter().take(1).collect() });
            }
            "fail" => return Some(Asked { kind: Kind::Fails, of: vec![] }),
            _ => return None,
        };
        Some(Asked { kind, of: given.into_iter().take(arity).collect() })
    }

    pub(super) fn expectation(
        &self,
        _node: Node<'_>,
        function: Node<'_>,
        given: Vec<Tokens>,
    ) -> Option<Asked> {
        let name = self.field(function, "property");
        let negated = self.said(function).contains(").not.");
        let call = syntax::nodes(function)
            .find(|n| n.kind() == "call_expression" && self.field(*n, "function") == "expect")?;
        let subject = arguments_of(call).first().map(|n| self.tokens(*n)).unwrap_or_default();
        let other = given.into_iter().next();
        let (kind, other) = match name {
            "toBe" | "toEqual" | "toStrictEqual" | "toHaveLength" => (Kind::Equal, other),
            "toBeNull" | "toBeUndefined" => (Kind::Equal, Some(vec!["null".to_owned()])),
            "toBeTruthy" | "toBeDefined" => (Kind::Holds, None),
            "toBeFalsy" => (Kind::HoldsNot, None),
            "toContain" | "toContainEqual" | "toMatchObject" | "toHaveProperty" => (Kind::Contains, other),
            "toThrow" | "toThrowError" => {
                return Some(Asked {
                    kind: Kind::Throws,
                    of: vec![other.unwrap_or_else(|| vec!["Exception".to_owned()]), subject],
                });
            }
            n if n.starts_with("toBe") && other.is_some() => (Kind::Compares, other),
            _ => (Kind::Like, other),
        };
        let kind = if negated && kind == Kind::Equal { Kind::Differs } else { kind };
        let kind = if negated && kind == Kind::Holds { Kind::HoldsNot } else { kind };
        Some(Asked { kind, of: std::iter::once(subject).chain(other).collect() })
    }
}

fn is_method(name: &str) -> bool {
    matches!(
        name,
        "ok" | "equal"
            | "strictEqual"
            | "deepEqual"
            | "deepStrictEqual"
            | "notEqual"
            | "notStrictEqual"
            | "notDeepEqual"
            | "notDeepStrictEqual"
            | "match"
            | "doesNotMatch"
            | "throws"
            | "rejects"
            | "doesNotThrow"
            | "doesNotReject"
            | "fail"
            | "ifError"
            | "partialDeepStrictEqual"
    )
}
