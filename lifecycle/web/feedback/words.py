"""In which language does a page speak, and what does it say? Chinese or English, whole sentences only."""

from __future__ import annotations

from collections.abc import Mapping

from lifecycle.domain.builtin import EVERY_CHANNEL

LANGUAGES = {"en": "English", "zh": "中文"}
DEFAULT = "en"

_EN = {
    "unsubscribe": "Unsubscribe",
    "unsubscribe_ask": "Do you no longer want to get {purpose} from us {by}?",
    "unsubscribe_button": "Yes, unsubscribe",
    "unsubscribed": "You are unsubscribed",
    "unsubscribed_text": "From now on we send you no more {purpose} {by}.",
    "choose": "Choose what you want to hear from us",
    "preferences": "Your preferences",
    "preferences_text": "Tick what you want. Everything else we leave out.",
    "language": "Language",
    "language_none": "no preference",
    "save": "Save",
    "saved": "Saved. It holds from now on.",
    "by": "{purpose} {by}",
    "by_channel": "by {channel}",
    "by_all": "on every channel",
    "survey": "A short question",
    "csat": "How satisfied are you with us?",
    "csat_low": "1: not at all",
    "csat_high": "5: very",
    "nps": "How likely are you to recommend us to a friend or colleague?",
    "nps_low": "0: not at all likely",
    "nps_high": "10: extremely likely",
    "churn": "Why did you leave us?",
    "reason_price": "The price",
    "reason_quality": "The quality",
    "reason_service": "The service",
    "reason_need": "I no longer need it",
    "reason_other_brand": "I found something better",
    "reason_else": "Something else",
    "comment": "Would you like to tell us more?",
    "send": "Send",
    "thanks": "Thank you",
    "thanks_text": "Your answer has reached us.",
    "answered_before": "We have an answer of yours from this link already. That one counts.",
    "answer_missing": "Please choose one of the answers.",
    "comment_long": "Your text is too long: please keep it under {most} characters.",
    "confirm": "Please confirm",
    "confirm_ask": "Do you want to get {purpose} from us {by}?",
    "confirm_button": "Yes, I do",
    "confirmed": "Confirmed",
    "confirmed_text": "From now on you get {purpose} {by}. Every message tells you how to leave.",
    "too_old": "This link is too old",
    "too_old_text": "Nothing was changed. Please ask for the messages once more.",
    "invalid": "This link does not work",
    "invalid_text": "It was changed on its way, or is not ours. Nothing was changed.",
    "by_hand": "Unsubscribe by hand",
    "by_hand_text": "Type the address or number to which we write, and we send it no more marketing.",
    "address": "E-mail address or phone number",
    "by_hand_done": "Done",
    "by_hand_done_text": "We send no more marketing to what you typed, if we ever did.",
    "address_wrong": "This is neither an e-mail address nor a phone number.",
    "busy": "Just a moment",
    "busy_text": "We cannot do this just now, and nothing was changed. Please try again in a minute.",
}

_ZH = {
    "unsubscribe": "退订",
    "unsubscribe_ask": "您不想再{by}收到我们的{purpose}了吗？",
    "unsubscribe_button": "是的，退订",
    "unsubscribed": "您已退订",
    "unsubscribed_text": "从现在起，我们不再{by}向您发送{purpose}。",
    "choose": "选择您想收到的内容",
    "preferences": "您的偏好",
    "preferences_text": "请勾选您想要的，没有勾选的我们就不做。",
    "language": "语言",
    "language_none": "不限",
    "save": "保存",
    "saved": "已保存，即刻生效。",
    "by": "{by}发送的{purpose}",
    "by_channel": "通过{channel}",
    "by_all": "通过所有渠道",
    "survey": "一个小问题",
    "csat": "您对我们满意吗？",
    "csat_low": "1：很不满意",
    "csat_high": "5：非常满意",
    "nps": "您有多大可能把我们推荐给朋友或同事？",
    "nps_low": "0：完全不可能",
    "nps_high": "10：非常可能",
    "churn": "您为什么离开我们？",
    "reason_price": "价格",
    "reason_quality": "质量",
    "reason_service": "服务",
    "reason_need": "不再需要",
    "reason_other_brand": "找到了更好的选择",
    "reason_else": "其他原因",
    "comment": "您愿意再多说几句吗？",
    "send": "提交",
    "thanks": "谢谢您",
    "thanks_text": "我们已收到您的回答。",
    "answered_before": "您已通过这个链接回答过，以那次回答为准。",
    "answer_missing": "请选择一个答案。",
    "comment_long": "内容太长，请不要超过{most}个字。",
    "confirm": "请确认",
    "confirm_ask": "您想{by}收到我们的{purpose}吗？",
    "confirm_button": "是的，我想收到",
    "confirmed": "已确认",
    "confirmed_text": "从现在起，您会{by}收到{purpose}。每条消息里都有退订方式。",
    "too_old": "链接已过期",
    "too_old_text": "没有做任何更改。请重新申请一次。",
    "invalid": "链接无效",
    "invalid_text": "链接在途中被改动，或者不是我们发出的。没有做任何更改。",
    "by_hand": "手动退订",
    "by_hand_text": "请输入我们联系您所用的邮箱或手机号，我们将不再向它发送营销信息。",
    "address": "邮箱或手机号",
    "by_hand_done": "已完成",
    "by_hand_done_text": "如果我们曾向您输入的地址发送过营销信息，从现在起不再发送。",
    "address_wrong": "这既不是邮箱，也不是手机号。",
    "busy": "请稍候",
    "busy_text": "暂时无法处理，没有做任何更改。请一分钟后再试。",
}

_PURPOSES = {
    "marketing": {"en": "offers and news", "zh": "优惠与资讯"},
    "survey": {"en": "surveys", "zh": "问卷"},
    "service": {"en": "service messages", "zh": "服务信息"},
}

_UNSENT = {
    "measurement": {
        "en": {
            "unsubscribe_ask": "Do you no longer want us to see what you open and click in messages {by}?",
            "unsubscribed_text": "From now on we do not see what you open and click in messages {by}. You still get them.",
            "by": "We may see what you open and click in messages {by}. You get the same messages without it.",
            "confirm_ask": "May we see what you open and click in messages {by}? You get the same messages without it.",
            "confirmed_text": "From now on we see what you open and click in messages {by}. You can take that back on the page of your preferences.",
        },
        "zh": {
            "unsubscribe_ask": "您不想再让我们统计您是否打开、点击{by}发送的信息了吗？",
            "unsubscribed_text": "从现在起，我们不再统计您是否打开、点击{by}发送的信息。信息照常发送。",
            "by": "允许我们统计您是否打开、点击{by}发送的信息。不勾选，信息照常发送。",
            "confirm_ask": "您允许我们统计您是否打开、点击{by}发送的信息吗？不允许，信息照常发送。",
            "confirmed_text": "从现在起，我们会统计您是否打开、点击{by}发送的信息。您可以随时在偏好页面撤回。",
        },
    }
}
"""What she agrees to without being sent anything for it: such a purpose has sentences of its own."""

_CHANNELS = {
    "email": {"en": "e-mail", "zh": "邮件"},
    "sms": {"en": "text message", "zh": "短信"},
    "wecom": {"en": "WeCom", "zh": "企业微信"},
    "dingtalk": {"en": "DingTalk", "zh": "钉钉"},
    "feishu": {"en": "Feishu", "zh": "飞书"},
}

_ALL = {"en": _EN, "zh": _ZH}


class Words:
    """Of one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._words = _ALL[language]

    def __call__(self, name: str, **values: object) -> str:
        return self._words[name].format(**values)

    def about(self, name: str, purpose: str, channel: str) -> str:
        """A sentence about a consent; what nobody has named better is called as the policy does."""
        called = _PURPOSES.get(purpose, {}).get(self.language, purpose)
        own = _UNSENT.get(purpose, {}).get(self.language, {})
        return own.get(name, self._words[name]).format(purpose=called, by=self._by(channel))

    def _by(self, channel: str) -> str:
        if channel == EVERY_CHANNEL:
            return self("by_all")
        return self("by_channel", channel=_CHANNELS.get(channel, {}).get(self.language, channel))


def words(known: str | None, accepted: str) -> Words:
    """In the customer's language if it is known; else in the first that her browser accepts and we speak."""
    for tag in [known or "", *_by_preference(accepted)]:
        if (language := tag.strip().lower().replace("_", "-").partition("-")[0]) in _ALL:
            return Words(language)
    return Words(DEFAULT)


def _by_preference(accepted: str) -> list[str]:
    weighed = []
    for part in accepted[:500].split(","):
        tag, _, weight = part.partition(";q=")
        try:
            weighed.append((-float(weight or 1), tag))
        except ValueError:
            continue
    return [tag for _, tag in sorted(weighed, key=lambda each: each[0])]


def every_word() -> Mapping[str, Mapping[str, str]]:
    """By language, for whoever checks that none is missing."""
    return {
        language: {
            **said,
            **{
                f"{purpose}: {name}": text
                for purpose, by_language in _UNSENT.items()
                for name, text in by_language[language].items()
            },
        }
        for language, said in _ALL.items()
    }
