package tiledesktest

// phrases is what people say in one language. {slots} are filled in; c: is the customer's turn, a: the agent's.
type phrases struct {
	language     string
	weight       int // of a hundred visitors
	first, last  []string
	hello        string   // the bot, first
	handover     string   // the bot, before an agent takes over
	solved       string   // the bot, when it was enough
	greeting     string   // the agent, first
	fillers      []string // turns that make a conversation longer
	goodbye      []string
	reopen       string // the customer, after the closing
	reopened     string // the agent, to that
	praise       []string
	complaint    []string
	scripts      []script
	phoneCountry string
}

// script is a conversation about one matter.
type script struct {
	department, subject string
	tags                []string
	turns               []string
}

var languages = []phrases{
	{
		language: "en", weight: 44, phoneCountry: "+44",
		first:    []string{"Emma", "Oliver", "Amelia", "Jack", "Grace", "Noah", "Chloe", "Liam", "Hannah", "Ethan", "Priya", "Samuel", "Zoe", "Marcus"},
		last:     []string{"Smith", "Johnson", "Taylor", "Brown", "Walker", "Hughes", "Patel", "Murphy", "Clarke", "Evans", "Okafor", "Bennett"},
		hello:    "Hi {name}! I'm {bot}. Tell me in a few words what this is about and I'll find the right answer or the right person.",
		handover: "Thanks. A colleague from {department} will take over in a moment.",
		solved:   "Here is what I found: https://help.example.com/articles/{article} – does that answer your question?",
		greeting: "Hello {name}, this is {agent} from {department}. Give me a minute to look into it.",
		fillers: []string{
			"a:Could you send me a screenshot, please?", "c:Sure, one second. Here you go.",
			"a:Thank you. Are you using the app or the website?", "c:The website, latest Chrome.",
			"a:I'm checking this with the team, thanks for your patience.", "c:No rush.",
			"a:Just to confirm: is {email} still the right address?", "c:Yes, that's the one.",
		},
		goodbye: []string{"c:Great, thanks a lot!", "c:Perfect, that solved it. Thank you {agent}!", "c:OK, thanks. Have a good day."},
		reopen:  "Sorry to come back to this, but it happened again.", reopened: "No need to be sorry, {name}. I've reopened your case and escalated it.",
		praise:    []string{"Quick and friendly!", "Solved within minutes", "{agent} was very helpful", "Great support", "Exactly what I needed"},
		complaint: []string{"Took far too long", "Had to explain everything twice", "Still not fixed", "The bot did not understand me"},
		scripts: []script{
			{"Technical Support", "Cannot sign in", []string{"bug"}, []string{
				"c:I can't log in since this morning, it says \"session expired\".", "a:I can see several failed attempts. I have reset your sessions – please try again.", "c:Works now!"}},
			{"Billing", "Charged twice", []string{"refund"}, []string{
				"c:I was charged twice for invoice {invoice}: 2 × {amount}.", "a:You are right, the second payment is a duplicate. I've started the refund of {amount}.",
				"c:When will I see it?", "a:It takes 3 to 5 working days, depending on your bank."}},
			{"Returns & Shipping", "Where is my order?", []string{"shipping"}, []string{
				"c:Where is my order {order}? It should have arrived on {date}.", "a:The parcel with your {product} left our warehouse yesterday; the carrier expects it tomorrow.", "c:Ok, I'll wait then."}},
			{"Sales", "Upgrade to {plan}", []string{"upsell"}, []string{
				"c:What does the {plan} plan cost for a team of twelve at {company}?", "a:For twelve seats it is {amount} a month, billed yearly. Shall I send you a quote?", "c:Yes please, to {email}."}},
			{"Technical Support", "Webhook not delivered", []string{"bug", "api"}, []string{
				"c:Our webhook endpoint hasn't received any events since 09:40 UTC. Status page is green <but> nothing arrives.",
				"a:Your endpoint answered 403 to our last 20 deliveries, so we paused it. Did you change a firewall rule?",
				"c:Ah – yes, we rotated the allow list & forgot yours.", "a:I've resumed the deliveries and replayed the missed ones."}},
			{"Billing", "Cancel my plan", []string{"churn-risk"}, []string{
				"c:Please cancel my {plan} plan, we don't need it any more.", "a:I'm sorry to hear that. May I ask what was missing?",
				"c:Nothing really, the project ended.", "a:Understood. It runs until {date} and won't renew."}},
			{"Returns & Shipping", "Damaged {product}", []string{"refund", "shipping"}, []string{
				"c:The {product} from order {order} arrived with a broken hinge 😕", "a:That shouldn't happen. Would you like a replacement or your money back?",
				"c:A replacement, please.", "a:It goes out today, the return label is in your inbox."}},
			{"Technical Support", "Export takes forever", []string{"performance"}, []string{
				"c:CSV export of our tickets is stuck at 80% for an hour.", "a:The export hit a lock on our side. I restarted it, you get a mail when it is done.", "c:Got the mail."}},
		},
	},
	{
		language: "it", weight: 22, phoneCountry: "+39",
		first:    []string{"Giulia", "Marco", "Francesca", "Luca", "Chiara", "Matteo", "Sara", "Davide", "Elena", "Andrea"},
		last:     []string{"Rossi", "Bianchi", "Ferrari", "Romano", "Ricci", "Greco", "Conti", "D'Angelo", "Colombo"},
		hello:    "Ciao {name}! Sono {bot}. Dimmi in poche parole di cosa hai bisogno.",
		handover: "Grazie. Ti passo subito a un collega di {department}.",
		solved:   "Forse ti è utile questo articolo: https://help.example.com/it/{article}",
		greeting: "Buongiorno {name}, sono {agent}. Controllo subito la sua richiesta.",
		fillers:  []string{"a:Mi può inviare il numero d'ordine?", "c:Certo: {order}.", "a:Un attimo di pazienza, per favore.", "c:Va bene, nessuna fretta."},
		goodbye:  []string{"c:Perfetto, grazie mille!", "c:Tutto chiaro, buona giornata.", "c:Grazie {agent}, gentilissima!"},
		reopen:   "Scusate, ma il problema si è ripresentato.", reopened: "Nessun problema, {name}: ho riaperto la richiesta.",
		praise:    []string{"Velocissimi!", "Molto gentili", "Problema risolto subito"},
		complaint: []string{"Troppa attesa", "Non è stato risolto", "Perché devo ripetere tutto?"},
		scripts: []script{
			{"Returns & Shipping", "Dov'è il mio ordine?", []string{"shipping"}, []string{
				"c:Salve, il mio ordine {order} doveva arrivare il {date}. Perché non è qui? 🙁", "a:Il corriere segnala un ritardo di un giorno: la consegna è prevista domani."}},
			{"Billing", "Fattura errata", []string{"refund"}, []string{
				"c:Sulla fattura {invoice} c'è una partita IVA sbagliata.", "a:Ha ragione, la correggo: riceverà la nuova fattura entro oggi.", "c:Anche l'importo di {amount} è giusto?", "a:Sì, l'importo è corretto."}},
			{"Technical Support", "Il widget non si carica", []string{"bug"}, []string{
				"c:Il widget non si apre più sul nostro sito.", "a:Vedo un errore nel vostro CSP: manca il nostro dominio.", "c:Aggiunto, ora funziona!"}},
			{"Sales", "Piano {plan}", []string{"upsell"}, []string{
				"c:Quanto costa il piano {plan} per {company}?", "a:{amount} al mese, IVA esclusa. Le mando un preventivo?"}},
		},
	},
	{
		language: "es", weight: 14, phoneCountry: "+34",
		first:    []string{"Lucía", "Mateo", "Sofía", "Álvaro", "Carmen", "Javier", "Núria", "Íñigo"},
		last:     []string{"García", "Fernández", "López", "Martínez", "Núñez", "Ibáñez", "Torres"},
		hello:    "¡Hola {name}! Soy {bot}. ¿En qué puedo ayudarte?",
		handover: "Gracias. Te paso con un compañero de {department}.",
		solved:   "Quizás te ayude este artículo: https://help.example.com/es/{article}",
		greeting: "Hola {name}, soy {agent}. Lo reviso ahora mismo.",
		fillers:  []string{"a:¿Me puede dar más detalles?", "c:Sí, claro: pasa desde ayer.", "a:Gracias, un momento.", "c:Vale."},
		goodbye:  []string{"c:¡Muchas gracias!", "c:Perfecto, ya está. Un saludo."},
		reopen:   "Perdón, pero sigue sin funcionar.", reopened: "He reabierto el caso, {name}.",
		praise:    []string{"Muy rápido", "Excelente atención"},
		complaint: []string{"Demasiado lento", "No me lo solucionaron"},
		scripts: []script{
			{"Billing", "Reembolso", []string{"refund"}, []string{"c:Quiero un reembolso de {amount} por el pedido {order}.", "a:Ya lo he tramitado, lo verá en unos días."}},
			{"Technical Support", "No recibo correos", []string{"bug"}, []string{"c:¿Por qué no recibo los correos de confirmación?", "a:Su servidor los rechazaba; los he reenviado a {email}.", "c:Ya han llegado."}},
			{"Returns & Shipping", "Cambio de dirección", []string{"shipping"}, []string{"c:¿Puedo cambiar la dirección de entrega de {order}?", "a:Sí, todavía no ha salido. ¿Cuál es la nueva?", "c:Calle Mayor 12, 3.º B, Madrid.", "a:Hecho."}},
		},
	},
	{
		language: "de", weight: 12, phoneCountry: "+49",
		first:    []string{"Anna", "Lukas", "Jürgen", "Katharina", "Felix", "Käthe", "Jonas"},
		last:     []string{"Müller", "Schmidt", "Weiß", "Fischer", "Schröder", "Köhler", "Wagner"},
		hello:    "Hallo {name}! Ich bin {bot}. Worum geht es?",
		handover: "Danke. Jemand aus dem Team {department} übernimmt gleich.",
		solved:   "Vielleicht hilft dieser Artikel: https://help.example.com/de/{article}",
		greeting: "Guten Tag {name}, hier ist {agent}. Ich schaue mir das gleich an.",
		fillers:  []string{"a:Welche Version verwenden Sie?", "c:Die neueste, seit gestern.", "a:Danke, ich prüfe das kurz.", "c:In Ordnung."},
		goodbye:  []string{"c:Vielen Dank!", "c:Super, das war's schon. Schönen Tag noch."},
		reopen:   "Leider tritt der Fehler wieder auf.", reopened: "Ich habe den Fall wieder geöffnet.",
		praise:    []string{"Schnell & kompetent", "Sehr freundlich"},
		complaint: []string{"Zu lange gewartet", "Keine Lösung bekommen"},
		scripts: []script{
			{"Billing", "Rechnung fehlt", []string{"invoice"}, []string{"c:Die Rechnung {invoice} fehlt in unserem Konto.", "a:Ich habe sie gerade noch einmal an {email} geschickt."}},
			{"Technical Support", "API gibt 500 zurück", []string{"bug", "api"}, []string{"c:Ihre API antwortet seit heute früh mit 500 – größere Störung?", "a:Wir hatten bis 10:15 Uhr eine Störung, jetzt ist sie behoben.", "c:Bestätigt, läuft wieder."}},
			{"Sales", "Angebot {plan}", []string{"upsell"}, []string{"c:Wir bräuchten ein Angebot für {plan}, 25 Plätze.", "a:Gern, das wären {amount} im Monat. Ich schicke es Ihnen."}},
		},
	},
	{
		language: "fr", weight: 8, phoneCountry: "+33",
		first:    []string{"Camille", "Hugo", "Zoé", "Théo", "Élodie", "Jérôme"},
		last:     []string{"Martin", "Lefèvre", "Dubois", "Girard", "Moreau", "Béranger"},
		hello:    "Bonjour {name} ! Je suis {bot}. Comment puis-je vous aider ?",
		handover: "Merci. Un collègue de {department} prend le relais.",
		solved:   "Cet article pourrait vous aider : https://help.example.com/fr/{article}",
		greeting: "Bonjour {name}, ici {agent}. Je regarde tout de suite.",
		fillers:  []string{"a:Pouvez-vous préciser ?", "c:Oui, c'est la commande {order}."},
		goodbye:  []string{"c:Merci beaucoup !", "c:C'est parfait, bonne journée."},
		reopen:   "Désolé, le problème est revenu.", reopened: "J'ai rouvert votre demande.",
		praise:    []string{"Rapide et efficace", "Très aimable"},
		complaint: []string{"Trop d'attente"},
		scripts: []script{
			{"Returns & Shipping", "Retour de {product}", []string{"refund"}, []string{"c:Comment renvoyer mon {product} ?", "a:Voici l'étiquette de retour, le remboursement de {amount} suivra.", "c:Sous quel délai ?", "a:Cinq jours ouvrés."}},
			{"Technical Support", "Mot de passe oublié", nil, []string{"c:Je ne reçois pas le lien pour changer mon mot de passe.", "a:Je viens de vous l'envoyer à {email}."}},
		},
	},
}

var (
	companies = []string{"Northwind", "Blue Harbor", "Lumen & Co", "Verde Energia", "Atlas Freight", "Pixel Foundry", "Casa Botanica", "Kestrel Health", "Delta Papier", "Mistral Cycles"}
	products  = []string{"desk lamp", "travel mug", "headphones", "office chair", "rain jacket", "espresso grinder", "backpack"}
	plans     = []string{"Growth", "Scale", "Premium", "Custom"}
	pages     = []string{"https://shop.example.com/", "https://shop.example.com/cart", "https://shop.example.com/pricing", "https://shop.example.com/orders", "https://shop.example.com/help?from=footer&lang=auto"}
	browsers  = []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile Safari/604.1",
		"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
	}
	noteTexts = []string{"Called back, no answer", "Important customer, be quick", "Same problem as last month", "Waiting for the carrier", "Refund approved by finance"}
)
