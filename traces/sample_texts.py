"""What people ask in sample data, how they ask it a second time, and what they are told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    question: str
    again: str  # the same in other words; a semantic cache should know it
    answer: str
    bucket: str = "short"


REPORT = (
    "The migration of the billing service started at 09:10. At 09:24 the error rate rose to 3 percent because the "
    "new connection pool was smaller than the old one. The team raised the limit at 09:31; it was calm by 09:40. "
    "Two invoices were sent twice; both customers were told on the same day. "
)
MINUTES = (
    "Maria reported that the beta has 412 active users. Jonas wants the export finished before the trade fair. Support "
    "asks for a status page, since a third of all tickets are about outages that are known already. Nobody objected. "
)

TEXTS = (
    Text(
        "Explain what an API gateway does in 2 lines.",
        "In two lines, what does an API gateway do?",
        "An API gateway is the single door in front of many services.\nIt checks who calls, limits how much, and sends "
        "each request to the right place.",
    ),
    Text(
        "What is the capital of Portugal?",
        "Which city is Portugal's capital?",
        "The capital of Portugal is Lisbon.",
    ),
    Text(
        "How do I undo the last git commit but keep my changes?",
        "Undo my last commit in git without losing the changes, how?",
        "Run `git reset --soft HEAD~1`. The commit is gone, and its changes are staged again.",
    ),
    Text(
        "Translate to German: The meeting is moved to Thursday.",
        "Please translate into German: The meeting is moved to Thursday.",
        "Die Besprechung wird auf Donnerstag verschoben.",
    ),
    Text(
        "What does HTTP status 429 mean?",
        "What is the meaning of HTTP status code 429?",
        "429 means “Too Many Requests”: you sent more than the server allows now. Wait for the time in Retry-After.",
    ),
    Text(
        "Give me a regex for a date like 2024-05-31.",
        "I need a regular expression for dates like 2024-05-31.",
        r"Use `^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$`. It checks the form, not whether the day exists.",
    ),
    Text(
        "Is it safe to eat rice from yesterday?",
        "Can I still eat yesterday's rice?",
        "Yes, if it was cooled within an hour and kept in the fridge. Heat it through, and only once.",
    ),
    Text(
        "What is the difference between a list and a tuple in Python?",
        "Python: how does a tuple differ from a list?",
        "A list can change after it is made, a tuple cannot. So a tuple can be a key of a dict, and a list cannot.",
    ),
    Text(
        "Suggest a subject line for an email that asks for a refund.",
        "I am asking for a refund by email: which subject line would you use?",
        "“Refund request for order 10482”. It says what you want, and which order it is about.",
    ),
    Text(
        "Convert 20 miles to kilometres.",
        "How many kilometres are 20 miles?",
        "20 miles are about 32.2 kilometres.",
    ),
    Text(
        "Classify as positive or negative: The parcel came late but the shoes are great.",
        "Positive or negative? The parcel came late but the shoes are great.",
        "Positive: the complaint is about the delivery, and the judgement of the product is good.",
    ),
    Text(
        "Why is my Docker build so slow after every small change?",
        "Each small change makes my Docker build slow. Why?",
        "Files that change often are copied too early. Copy the dependency list first, install, then copy the rest.",
    ),
    Text(
        f"Summarise this incident report in three sentences. {REPORT * 3}",
        "",
        "The migration of the billing service raised the error rate to 3 percent: its connection pool was too small. "
        "The limit was raised after seven minutes, and nine minutes later all was well. Two invoices went out twice.",
        "medium",
    ),
    Text(
        f"List the decisions and open points in these minutes. {MINUTES * 4}",
        "",
        "- Decided: a status page will be built.\n- Open: whether the export is finished before the trade fair.\n- For "
        "information: the beta has 412 active users.",
        "medium",
    ),
    Text(
        f"Write a friendly answer to a customer who read this and is worried. {REPORT * 2}",
        "",
        "Thank you for writing. For half an hour some requests failed while we moved our billing service. Your data "
        "was safe all the time, and if an invoice reached you twice, you can ignore the second one.",
        "medium",
    ),
    Text(
        f"Write a detailed review of how this incident was handled, with a timeline and five lessons. {REPORT * 12}",
        "",
        "## Timeline\n09:10 the migration starts. 09:24 errors rise to 3 percent. 09:31 the limit is raised. 09:40 the "
        "queue is empty.\n\n## Lessons\n1. Compare the limits of old and new before moving.\n2. Alert on the queue, "
        "not only on errors.\n3. Send nothing twice: give each invoice a key.\n4. Keep the way back open for an hour.\n"
        "5. Tell customers early, as was done here.",
        "long",
    ),
    Text(
        f"Turn these minutes into a project plan for the next quarter, week by week. {MINUTES * 14}",
        "",
        "Weeks 1 and 2: status page, first version, with the known outages.\nWeeks 3 to 5: the export, tried with ten "
        "users of the beta.\nWeek 6: spare, for the trade fair.\nWeeks 7 to 12: the wishes of the 412 users, in the "
        "order of how many asked.",
        "long",
    ),
)
