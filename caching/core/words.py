"""Closed lists of English words that the guard knows. Short on purpose: a word belongs here if swapping it turns a
question into another one, or if it carries no meaning of its own."""


def words(text: str) -> list[str]:
    return text.split()


NEGATIONS = frozenset(
    words("""
    not no never without neither nor none nobody nothing nowhere unable cannot cant dont doesnt didnt isnt arent
    wasnt werent wont wouldnt shouldnt couldnt hasnt havent hadnt
    """)
)

# Words of one group exclude each other. Groups are parted by ";", their sides by a space, words of one side by "|".
_CONTRASTS = """
before|prior after|following; more fewer|less; most fewest|least; with without; minimum|min|minimal
maximum|max|maximal; increase|raise|grow|gain decrease|lower|reduce|shrink|lose|cut; over|above under|below;
enable|activate disable|deactivate; allow|permit deny|forbid|block|ban|prevent|prohibit; start|begin
stop|end|finish|quit; open close|shut; on off; in out; up down; add|insert|append remove|delete|drop|subtract;
buy|purchase sell; import export; encrypt decrypt; encode decode; upload download; push pull; input output; client
server; read write; get set; left right; top bottom; first last; high low; higher lower|fewer; highest lowest;
big|large|huge small|little|tiny; bigger|larger|greater smaller; biggest|largest|greatest smallest; long short; longer
shorter; longest shortest; fast|quick|quickly slow|slowly; faster slower; fastest slowest; good|great bad|evil; better
worse; best worst; old new|young; older newer|younger; oldest newest|youngest|latest; early late; earlier later;
earliest latest; cheap expensive; cheaper expensive; cheapest expensive; safe dangerous|risky|harmful; true false; yes
no; public private; internal external; local remote; horizontal vertical; inside outside; upper lower; win lose;
love|like hate; love|like dislike; accept|approve reject|refuse|decline; pass fail; succeed fail; success failure;
attack defend; offense defense; rise|rises|rising fall|falls|falling|drop; always never|sometimes; all none|some;
every no; both neither; many few; often rarely|seldom; positive negative; pro con; pros cons; benefit|benefits|upside
risk|risks|harm|harms|downside; cause|causes effect|effects; hot cold; warm cool; wet dry; hard|difficult easy|simple;
heavy light; strong weak; rich poor; full empty; male female; man woman; men women; boy girl; boys girls; husband
wife; father mother; brother sister; son daughter; he|him|his she|her|hers; my|mine your|yours his her|hers our|ours
their|theirs its; today tomorrow yesterday; now later|then; am pm; hourly daily weekly monthly yearly|annually|annual;
second|seconds minute|minutes hour|hours day|days week|weeks month|months year|years decade|decades century|centuries;
monday tuesday wednesday thursday friday saturday sunday; morning afternoon evening night; spring summer autumn|fall
winter; north south east west; northern southern eastern western; plus minus times|multiplied divided; sum|total
difference product quotient ratio average|mean median; square|squared cube|cubed; ascending descending; even odd;
singular plural; past present future; debit credit; deposit withdraw|withdrawal; send|sending|sent
receive|receiving|received; lend borrow; arrive|arrival depart|departure|leave; employer employee; teacher student;
buyer seller; summary|summarize|summarise translation|translate; json xml yaml csv html markdown; celsius fahrenheit
kelvin; mile|miles kilometer|kilometers|kilometre|kilometres|km meter|meters|metre|metres foot|feet inch|inches
yard|yards; pound|pounds|lb|lbs kilogram|kilograms|kg|kilo|kilos gram|grams ounce|ounces ton|tons tonne|tonnes;
dollar|dollars|usd euro|euros|eur yen|jpy rupee|rupees|inr yuan|cny; red blue green yellow black white orange purple
pink brown
"""

CONTRASTS: tuple[dict[str, int], ...] = tuple(
    {word: side for side, same in enumerate(group.split()) for word in same.split("|")}
    for group in _CONTRASTS.split(";")
)

QUESTION_WORDS = frozenset(("when", "where", "who", "why"))

# Capitals on these are emphasis or habit, not a name.
FUNCTION_WORDS = frozenset(
    words("""
    a an the of in on at to for by with from and or but is are was were be been am do does did can could will
    would should shall may might must have has had i me my we us our you your he him his she her it its they
    them their this that these those what which how who whom whose when where why there here if as so than then
    not no yes all any some please tell explain describe give show list write make get use using about into over
    best good new most more
    """)
)
