"""What texts of a package may hold, as character classes that regular expressions of every kind understand."""

SPECIAL = "&!'\"<>="
# Ideographs, kana and Hangul, their punctuation, and full-width forms.
CHINESE = "\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
CONTROL = "\x00-\x1f\x7f-\x9f\u2028\u2029"
PLAIN = f"[^{SPECIAL}{CHINESE}{CONTROL}]"
"""Any character but these."""
PLAIN_RULE = f"no Chinese and none of {' '.join(SPECIAL)}"
