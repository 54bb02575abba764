// A test runner in a page: TEST(name) { CHECK(condition); CHECK_EQUAL(a, b); CHECK_THROWS(Type, expression); }
// A failed check ends its test; the others run on.
#pragma once

#include <functional>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace check {

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Test {
    std::string name;
    std::function<void()> body;
};

inline std::vector<Test>& tests() {
    static std::vector<Test> all;
    return all;
}

struct Registration {
    Registration(std::string name, std::function<void()> body) { tests().push_back({std::move(name), std::move(body)}); }
};

[[noreturn]] inline void fail(const char* file, int line, const std::string& what) {
    throw Failure(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

template <typename A, typename B>
void equal(const A& a, const B& b, const char* expression, const char* file, int line) {
    if (a == b) return;
    std::ostringstream text;
    text << expression;
    if constexpr (requires { text << a << b; }) text << ": " << a << " is not " << b;
    fail(file, line, text.str());
}

}  // namespace check

#define TEST(name)                                                      \
    static void test_##name();                                          \
    static const check::Registration register_##name(#name, test_##name); \
    static void test_##name()

#define CHECK(condition) \
    ((condition) ? static_cast<void>(0) : check::fail(__FILE__, __LINE__, #condition))

#define CHECK_EQUAL(a, b) check::equal((a), (b), #a " == " #b, __FILE__, __LINE__)

#define CHECK_THROWS(type, ...)                                                  \
    do {                                                                         \
        bool thrown = false;                                                     \
        try {                                                                    \
            static_cast<void>(__VA_ARGS__);                                      \
        } catch (const type&) {                                                  \
            thrown = true;                                                       \
        }                                                                        \
        if (!thrown) check::fail(__FILE__, __LINE__, #__VA_ARGS__ " throws " #type); \
    } while (false)
