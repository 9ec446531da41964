/* SPDX-License-Identifier: Apache-2.0 */
/* Switch, hold and drain of one model, for SPIN: docs/decisions/0007-switch-model.md says what is
 * shown, and what is left out. The names are those of src/switch: route.c, replace.c, switch.c.
 *
 * Each atomic block is what the code does under one lock. What may go wrong (a start that fails, a
 * worker that dies) is a free choice, as often as FAILURES and CRASHES allow.
 */

#ifndef CLIENTS
#define CLIENTS 3
#endif
#ifndef SWITCHES
#define SWITCHES 2
#endif
#ifndef FAILURES
#define FAILURES 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define SLOTS 2

#define NONE 0 /* workers 1 and 2: one on each backend */
mtype = { CLOSED, HELD, OPEN };

mtype route = CLOSED;
byte routed = NONE;      /* the worker of an open route */
byte running[3];         /* requests on each worker */
byte movable[3];
bool asked_to_move[3];
bool exists[3];          /* started, not yet stopped by us */
bool up[3];              /* its process lives */
byte life[3];            /* each start is another worker */

byte entry = NONE;       /* entry->worker */
bool busy = false;       /* the model's slot */
bool load_wanted = false; /* a load task is queued or runs */
byte association = 1;

byte served = 0, lost = 0, crashes = 0, failures = 0, ended = 0;

/* --- route.c ------------------------------------------------------------ */

inline route_open(w) { atomic { routed = w; route = OPEN } }
inline route_hold() { atomic { routed = NONE; route = HELD } }
inline route_close() { atomic { routed = NONE; route = CLOSED } }
inline route_drain(w) { (running[w] == 0) }
inline route_ask_move(w) {
	asked_to_move[w] = true;
	(movable[w] == 0);
	asked_to_move[w] = false
}

/* --- workers ------------------------------------------------------------ */

/* ok: it came up, and answered its first token. */
inline change_start(w, ok) {
	if
	:: atomic { failures < FAILURES -> failures++; ok = false }
	:: atomic { exists[w] = true; up[w] = true; life[w]++; ok = true }
	fi
}

inline worker_stop(w) {
	atomic {
		assert(running[w] == 0 || !up[w]); /* nobody is cut without force */
		exists[w] = false;
		up[w] = false
	}
}

/* --- switch.c ----------------------------------------------------------- */

#define line_is_left (!busy && entry == NONE && !load_wanted && route == HELD)

inline entry_claim() { atomic { !busy -> busy = true } }

inline entry_release() {
	do
	:: atomic { entry != NONE && !up[entry] -> entry = NONE };
	   route_close() /* lost_worker */
	:: atomic {
		entry == NONE || up[entry] ->
		busy = false;
		assert(entry == NONE || entry == association);
		if
		:: line_is_left -> routed = NONE; route = CLOSED
		:: else
		fi;
		break
	   }
	od
}

/* The model answers, if its worker lives. */
inline change_go_on() {
	if
	:: entry != NONE && up[entry] -> route_open(entry)
	:: else
	fi
}

/* --- replace.c ---------------------------------------------------------- */

inline beside(old, fresh, ok) {
	change_start(fresh, ok);
	if
	:: !ok -> change_go_on()
	:: ok ->
		association = fresh;
		route_hold();
		route_ask_move(old);
		if
		:: !up[fresh] -> /* open_new refuses */
			change_go_on();
			association = old;
			worker_stop(fresh)
		:: up[fresh] ->
			atomic { entry = fresh };
			change_go_on();
			if /* finish_old */
			:: running[old] == 0 -> worker_stop(old)
			:: !up[fresh] ->
				atomic { entry = old };
				change_go_on();
				association = old;
				worker_stop(fresh)
			fi
		fi
	fi
}

inline in_turn(old, fresh, ok) {
	route_hold();
	route_ask_move(old);
	route_drain(old);
	entry = NONE;
	worker_stop(old);
	change_start(fresh, ok);
	if
	:: ok && up[fresh] ->
		association = fresh;
		entry = fresh;
		change_go_on()
	:: else ->
		if
		:: ok -> worker_stop(fresh)
		:: else
		fi;
		change_start(old, ok);
		if
		:: ok -> entry = old; change_go_on()
		:: else -> route_close() /* give_up: the next request tries again */
		fi
	fi
}

/* --- the tasks ---------------------------------------------------------- */

active proctype switches() {
	byte n = 0;
	byte old;
	bool ok;

	do
	:: n < SWITCHES ->
		n++;
		entry_claim();
		if
		:: entry != NONE && up[entry] ->
			old = entry;
			if
			:: beside(old, 3 - old, ok)
			:: in_turn(old, 3 - old, ok)
			fi
		:: else -> association = 3 - association /* not loaded: one transaction */
		fi;
		entry_release()
	:: n == SWITCHES -> break
	od
}

active proctype loads() {
	bool ok;

	do
	:: atomic { load_wanted && !busy -> busy = true };
		if
		:: entry != NONE -> skip
		:: else ->
			route_hold();
			change_start(association, ok);
			if
			:: ok -> entry = association; change_go_on()
			:: else -> route_close()
			fi
		fi;
		entry_release();
		atomic { /* change_ended */
			load_wanted = false;
			if
			:: line_is_left -> routed = NONE; route = CLOSED
			:: else
			fi
		}
	:: ended == CLIENTS -> break
	od
}

/* switcher_worker_crashed */
active proctype kernel() {
	byte w, which;

	do
	:: crashes < CRASHES ->
		if
		:: atomic { up[1] -> up[1] = false; w = 1; which = life[1]; crashes++ }
		:: atomic { up[2] -> up[2] = false; w = 2; which = life[2]; crashes++ }
		:: ended == CLIENTS -> break
		fi;
		if
		:: atomic { entry == w && life[w] == which && busy -> routed = NONE; route = HELD }
		:: atomic { entry == w && life[w] == which && !busy -> busy = true }; entry_release()
		:: atomic { entry != w || life[w] != which -> skip }
		fi
	:: crashes == CRASHES -> break
	:: ended == CLIENTS -> break
	od
}

/* --- requests ----------------------------------------------------------- */

active [CLIENTS] proctype client() {
	byte mine;
	bool can_move;

enter:	do
	:: atomic {
		route == OPEN && running[routed] < SLOTS ->
		mine = routed;
		assert(exists[mine]); /* never one that we stopped */
		running[mine]++;
		if
		:: can_move = true; movable[mine]++
		:: can_move = false
		fi
	   };
	   break
	:: atomic { /* switch_want */
		route == CLOSED ->
		if
		:: entry == NONE && !busy && !load_wanted -> load_wanted = true; route = HELD
		:: else
		fi
	   }
	od;
	if
	:: atomic { up[mine] -> running[mine]--; movable[mine] = movable[mine] - can_move; served++ }
	:: atomic { !up[mine] -> running[mine]--; movable[mine] = movable[mine] - can_move; lost++ }
	:: atomic {
		can_move && asked_to_move[mine] ->
		running[mine]--;
		movable[mine]--
	   };
	   goto enter
	fi;
	atomic {
		assert(lost == 0 || crashes > 0); /* only who ran on a worker that died */
		ended++
	}
}

/* Nobody waits for ever: every request ends, whatever fails. */
ltl all_end { <> (ended == CLIENTS) }
