//! Functions that a file calls and nobody defines: an error that only shows when that line is reached, which a run without the
//! right input does not.

use std::collections::BTreeMap;

use tree_sitter::Node;

use super::imports::is_member;
use super::syntax;

/// What can be called in every file of Python.
const PYTHON: &str = "abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr classmethod compile complex \
    copyright credits delattr dict dir divmod enumerate eval exec exit filter float format frozenset getattr globals hasattr hash \
    help hex id input int isinstance issubclass iter len license list locals map max memoryview min next object oct open ord pow \
    print property quit range repr reversed round set setattr slice sorted staticmethod str sum super tuple type vars zip \
    __import__ __build_class__";
/// Errors and warnings that can be raised in every file of Python.
const PYTHON_ERRORS: &str = "ArithmeticError AssertionError AttributeError BaseException BaseExceptionGroup BlockingIOError BrokenPipeError \
    BufferError BytesWarning ChildProcessError ConnectionAbortedError ConnectionError ConnectionRefusedError \
    ConnectionResetError DeprecationWarning EOFError EncodingWarning EnvironmentError Exception ExceptionGroup \
    FileExistsError FileNotFoundError FloatingPointError FutureWarning GeneratorExit IOError ImportError ImportWarning \
    IndentationError IndexError InterruptedError IsADirectoryError KeyError KeyboardInterrupt LookupError MemoryError \
    ModuleNotFoundError NameError NotADirectoryError NotImplementedError OSError OverflowError PendingDeprecationWarning \
    PermissionError ProcessLookupError PythonFinalizationError RecursionError ReferenceError ResourceWarning RuntimeError \
    RuntimeWarning StopAsyncIteration StopIteration SyntaxError SyntaxWarning SystemError SystemExit TabError TimeoutError \
    TypeError UnboundLocalError UnicodeDecodeError UnicodeEncodeError UnicodeError UnicodeTranslateError UnicodeWarning \
    UserWarning ValueError Warning ZeroDivisionError";
/// What can be called in every file of JavaScript, in Node.js or a browser.
const JAVASCRIPT: &str = "AbortController AggregateError Array ArrayBuffer BigInt BigInt64Array BigUint64Array Blob Boolean \
    BroadcastChannel Buffer CustomEvent DataView Date DOMException DOMParser Error EvalError Event EventSource EventTarget File \
    FileReader FinalizationRegistry Float32Array Float64Array FormData Function Headers Image Int16Array Int32Array Int8Array Iterator \
    Map MessageChannel MutationObserver Notification Number Object PerformanceObserver Promise Proxy RangeError ReadableStream \
    ReferenceError RegExp Request Response Set SharedArrayBuffer String Symbol SyntaxError TextDecoder TextEncoder TransformStream \
    TypeError URIError URL URLSearchParams Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakRef WeakSet WebSocket \
    Worker WritableStream XMLHttpRequest addEventListener alert atob btoa cancelAnimationFrame clearImmediate clearInterval \
    clearTimeout close confirm decodeURI decodeURIComponent dispatchEvent encodeURI encodeURIComponent escape eval fetch \
    getComputedStyle importScripts isFinite isNaN matchMedia parseFloat parseInt postMessage prompt queueMicrotask \
    removeEventListener reportError requestAnimationFrame requestIdleCallback require setImmediate setInterval setTimeout \
    structuredClone unescape";

/// Whether every file of Python can call a function of this name.
pub(super) fn is_of_python(name: &str) -> bool {
    PYTHON.split_whitespace().chain(PYTHON_ERRORS.split_whitespace()).any(|other| other == name)
}

/// The first function that a file of Python or JavaScript calls and that it neither defines, imports, nor names anywhere but in
/// calls, with the line of the first call. None where the file does not parse, or imports names without saying which.
pub(super) fn undefined(path: &str, text: &str) -> Option<(String, usize)> {
    let is_known: fn(&str) -> bool = match path.rsplit_once('.')?.1 {
        "py" => is_of_python,
        "js" | "mjs" | "cjs" => |name| JAVASCRIPT.split_whitespace().any(|other| other == name),
        _ => return None,
    };
    let tree = syntax::tree(text, &syntax::language_of(path)?).ok()?;
    let root = tree.root_node();
    if root.has_error() {
        return None;
    }
    // Of each name, the line of its first call where it stands in calls alone.
    let mut names: BTreeMap<&str, Option<usize>> = BTreeMap::new();
    for node in syntax::nodes(root) {
        if matches!(node.kind(), "wildcard_import" | "with_statement") && is_open(node) {
            return None;
        }
        if !node.kind().contains("identifier") || is_member(node) {
            continue;
        }
        let line = node.start_position().row + 1;
        let called = is_called(node).then_some(line);
        let so_far = names.entry(&text[node.byte_range()]).or_insert(called);
        *so_far = so_far.and(called).and(*so_far);
    }
    let unknown = names.into_iter().filter(|(name, _)| !is_known(name));
    unknown.filter_map(|(name, line)| Some((name.to_owned(), line?))).min_by_key(|(_, line)| *line)
}

/// Whether names can come from elsewhere: `from x import *`, and JavaScript's `with`.
fn is_open(node: Node<'_>) -> bool {
    node.kind() == "wildcard_import" || node.child_by_field_name("object").is_some()
}

/// Whether a name is what is called, or constructed.
pub(super) fn is_called(node: Node<'_>) -> bool {
    node.parent().is_some_and(|parent| {
        let field = match parent.kind() {
            "call" | "call_expression" => "function",
            "new_expression" => "constructor",
            _ => return false,
        };
        parent.child_by_field_name(field).is_some_and(|called| called == node)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(path: &str, text: &str) -> String {
        undefined(path, text).map_or(String::new(), |(name, line)| format!("{name} {line}"))
    }

    #[test]
    fn what_is_called_and_nowhere_defined() {
        for (path, text, expected) in [
            ("a.mjs", "export function f(x) {\n  return load(x) + parse(load(x));\n}\n", "load 2"),
            (
                "a.mjs",
                "import { load } from './b.mjs';\nload(JSON.parse('1'), new Map(), parseInt('1'));\n",
                "",
            ),
            ("a.mjs", "const { a, b: c, ...d } = x, [e = 1, f] = y;\na(); c(); d(); e(); f();\n", ""),
            (
                "a.js",
                "const g = async (h, { i }) => { h(); i(); await g(); };\nclass J { k() { new J().k(); super.x(); } }\n",
                "",
            ),
            ("a.js", "try { x(1); } catch (e) { e(); }\n", "x 1"),
            ("a.js", "new Store();\n", "Store 1"),
            ("a.js", "if (typeof gtag !== 'undefined') gtag('x');\n", ""),
            ("a.py", "import os\n\ndef f(x):\n    return os.x(x) + helper(x) + len(x)\n", "helper 4"),
            ("a.py", "from b import *\nhelper()\n", ""),
            ("a.py", "from b import c as d\nfor e in []:\n    d(e())\nwith open('x') as f:\n    f()\n", ""),
            ("a.py", "f = lambda g, *h, **i: g(h(), i())\n[j() for j in [f]]\nif (k := f): k()\n", ""),
            (
                "a.py",
                "class A:\n    def m(self):\n        return A() or super().m()\n\n@deco\ndef x(): deco()\n",
                "",
            ),
            ("a.py", "def f(x):\n    raise ValueError(x)\n", ""),
            ("a.py", "def f(x):\n    raise MyError(x)\n", "MyError 2"),
            ("a.py", "def f(:\n    x()\n", ""),
            ("a.rs", "fn f() { g() }\n", ""),
        ] {
            assert_eq!(found(path, text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_looked_through(text in "[a-z(){}=.*\\n ]{0,200}") {
            undefined("a.py", &text);
            undefined("a.mjs", &text);
        }
    }
}
