; The threads that share the parallel loops of kernels. Why not TVM's own is in docs/decisions/0015-a-crew-of-threads.md, why a
; member that comes late costs nothing in docs/decisions/0018-late-threads-cost-nothing.md.
;
; The caller of a kernel is member 0. A loop on n threads is a launch: its caller calls members 1 to n - 1, and all of them
; claim pieces of the loop, first those of their own share, then what is left of the others'. When nothing is left, the
; caller withdraws its call from members that have not come, and waits for those that are at a piece. So nobody is ever
; waited for who does not run a piece at that moment.
;
; One launch at a time has the pool. Another one meanwhile, from a second thread of the program or from inside a piece,
; runs all its loop by itself: the results are the same.
;
; All that a caller and a member say to each other is one word, the member's state, which changes by atomic exchange:
;
;   from               to        by      when
;   idle or asleep     called    caller  a launch begins; who was asleep is woken
;   absent             called    caller  the same
;   called             running   member  it comes; from here to idle the member's line and the task are its to read
;   running            idle      member  it found no more pieces
;   called             absent    caller  the launch is over and the member had not come
;   absent             idle      member  it comes, too late
;   idle               asleep    member  nobody has called for some time
;
; Memory orders. What a caller writes for its members (@task, @failed, home of a member and what it was moved from) it
; writes before idle -> called, which releases; a member reads it after called -> running, which acquires. What members
; write (results, @failed, that they came home) they write before running -> idle, which releases; the caller waits for
; that with a load that acquires. The other changes hand nothing over and are monotonic: that the word itself changes
; atomically is enough. A member cannot sleep through a call, because both are exchanges of the same word: either the
; caller finds `asleep` and wakes, or the member's exchange finds `called` and fails; the system's own check of the word
; in FUTEX_WAIT covers the time between the exchange and the sleep. Claims are monotonic: which launch they belong to is
; in the value, and what a piece reads and writes is covered by the changes of state above. @busy acquires and releases,
; so that the launches of several threads follow each other like those of one.
;
; A template: thread_pool.py puts in what isa/ says of the architecture.

target datalayout = "$data_layout"
target triple = "$triple"

; States: 0 idle, 1 called, 2 running, 3 asleep, 4 absent.
%task = type { ptr, ptr, i32, i32, i64 }       ; function, its data, number of pieces, members who share them, launch
%group = type { ptr, i32 }                     ; TVMParallelGroupEnv: barriers (we have none), number of pieces
%cores = type <16 x i64>                       ; a cpu_set_t

; Of two cache lines, which processors fetch in pairs, are only those of one member. Its `claims` lie beside its state: who
; changes the state has the line that the first claim needs.
%member = type {
  i32,                                         ; 0 state
  i32,                                         ; 1 core + 1 that it was moved away from and has not come since; 0 for none
  i64,                                         ; 2 claims: launch * 256 + pieces of its share that are taken
  i64,                                         ; 3 cycle counter when it was first missed; 0 where it came to the last call
  i64,                                         ; 4 pthread_t
  [96 x i8],
  %cores                                       ; 6 home: the cores that it may use but for our moving it
}

@task = internal global %task zeroinitializer, align 128
@members = internal global [1024 x %member] zeroinitializer, align 128
@failed = internal global i32 0, align 128     ; what pieces returned, ORed
@busy = internal global i32 0, align 128       ; 1 while a launch has the pool
@started = internal global i32 1, align 4      ; members who have a thread, the caller included
@launches = internal global i64 0, align 8

declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i64 @llvm.readcyclecounter()
declare i64 @llvm.vector.reduce.or.v16i64(%cores)
declare void @llvm.init.trampoline(ptr, ptr, ptr)
declare ptr @llvm.adjust.trampoline(ptr)
declare i32 @llvm.smax.i32(i32, i32)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_getaffinity_np(i64, i64, ptr)
declare i32 @pthread_setaffinity_np(i64, i64, ptr)
declare i32 @sched_getcpu()
declare i32 @sched_yield()
declare i64 @syscall(i64, ...)
declare ptr @mmap(ptr, i64, i32, i32, i32, i64)
declare i32 @mprotect(ptr, i64, i32)

; Home without one core, into `cores`; whether that is other than home and leaves any.
define internal i1 @without(ptr %cores, ptr %member, i32 %core) {
entry:
  %home = getelementptr %member, ptr %member, i64 0, i32 6
  %all = load %cores, ptr %home, align 128
  store %cores %all, ptr %cores, align 128
  %known = icmp ult i32 %core, 1024            ; where the system cannot tell the core it is -1
  br i1 %known, label %clear, label %nothing
clear:
  %index = lshr i32 %core, 6
  %bit_index = and i32 %core, 63
  %bit_64 = zext i32 %bit_index to i64
  %bit = shl i64 1, %bit_64
  %others = xor i64 %bit, -1
  %word = getelementptr i64, ptr %cores, i32 %index
  %before = load i64, ptr %word
  %after = and i64 %before, %others
  store i64 %after, ptr %word
  %left = load %cores, ptr %cores, align 128
  %any = call i64 @llvm.vector.reduce.or.v16i64(%cores %left)
  %some = icmp ne i64 %any, 0
  %other = icmp ne i64 %before, %after
  %both = and i1 %some, %other
  ret i1 %both
nothing:
  ret i1 false
}

; Keep a member that is about to run off the caller's core, where it would wait behind the caller. Called between launches,
; when it is the caller's to write where the member is. A member that may use no other core stays.
define internal void @move_away(ptr %member) {
entry:
  %cores = alloca %cores, align 128
  %avoided = getelementptr %member, ptr %member, i64 0, i32 1
  %thread_at = getelementptr %member, ptr %member, i64 0, i32 4
  %home = getelementptr %member, ptr %member, i64 0, i32 6
  %thread = load i64, ptr %thread_at
  %core = call i32 @sched_getcpu()
  %mark = add i32 %core, 1
  %old_mark = load i32, ptr %avoided
  %done = icmp eq i32 %mark, %old_mark
  br i1 %done, label %out, label %look
look:
  %at_home = icmp eq i32 %old_mark, 0
  br i1 %at_home, label %ask, label %choose
ask:                                           ; anew each time: somebody may have moved it since
  %unknown = call i32 @pthread_getaffinity_np(i64 %thread, i64 128, ptr %home)
  %is_known = icmp eq i32 %unknown, 0
  br i1 %is_known, label %choose, label %out
choose:
  %moves = call i1 @without(ptr %cores, ptr %member, i32 %core)
  br i1 %moves, label %move, label %out
move:
  %refused = call i32 @pthread_setaffinity_np(i64 %thread, i64 128, ptr %cores)
  %moved = icmp eq i32 %refused, 0
  br i1 %moved, label %remember, label %out
remember:
  store i32 %mark, ptr %avoided
  br label %out
out:
  ret void
}

; A member that was moved runs: it may use all its cores again, unless somebody else has chosen others for it meanwhile.
define internal void @come_home(ptr %member) {
entry:
  %now_at = alloca %cores, align 128
  %chosen_at = alloca %cores, align 128
  %avoided = getelementptr %member, ptr %member, i64 0, i32 1
  %mark = load i32, ptr %avoided
  %at_home = icmp eq i32 %mark, 0
  br i1 %at_home, label %out, label %look
look:
  %thread_at = getelementptr %member, ptr %member, i64 0, i32 4
  %home = getelementptr %member, ptr %member, i64 0, i32 6
  %thread = load i64, ptr %thread_at
  %core = sub i32 %mark, 1
  call i1 @without(ptr %chosen_at, ptr %member, i32 %core)
  call i32 @pthread_getaffinity_np(i64 %thread, i64 128, ptr %now_at)
  %now = load %cores, ptr %now_at, align 128
  %chosen = load %cores, ptr %chosen_at, align 128
  %difference = xor %cores %now, %chosen
  %differs = call i64 @llvm.vector.reduce.or.v16i64(%cores %difference)
  %ours = icmp eq i64 %differs, 0
  store i32 0, ptr %avoided
  br i1 %ours, label %return, label %out
return:
  call i32 @pthread_setaffinity_np(i64 %thread, i64 128, ptr %home)
  br label %out
out:
  ret void
}

; Take the next piece of a member's share; its index, or -1 where none is left. Piece p belongs to member p modulo members,
; so that each has its part however few pieces have something to do. A count that an earlier launch left stands for zero.
define internal i32 @claim(i64 %owner, i32 %pieces, i32 %size, i64 %launch) {
entry:
  %claims = getelementptr [1024 x %member], ptr @members, i64 0, i64 %owner, i32 2
  %first = load atomic i64, ptr %claims monotonic, align 8
  %begin = shl i64 %launch, 8
  br label %try
try:
  %seen = phi i64 [ %first, %entry ], [ %newer, %take ]
  %seen_launch = lshr i64 %seen, 8
  %is_ours = icmp eq i64 %seen_launch, %launch
  %now = select i1 %is_ours, i64 %seen, i64 %begin
  %count = trunc i64 %now to i8
  %taken = zext i8 %count to i32
  %owner_32 = trunc i64 %owner to i32
  %offset = mul i32 %taken, %size
  %piece = add i32 %offset, %owner_32
  %left = icmp slt i32 %piece, %pieces
  br i1 %left, label %take, label %none
take:
  %more = add i64 %now, 1
  %swapped = cmpxchg ptr %claims, i64 %seen, i64 %more monotonic monotonic
  %newer = extractvalue { i64, i1 } %swapped, 0
  %took = extractvalue { i64, i1 } %swapped, 1
  br i1 %took, label %out, label %try
out:
  ret i32 %piece
none:
  ret i32 -1
}

; Run pieces of the task until none is left: the member's own, then those of the next member, and so on round; what they
; returned, ORed.
define internal i32 @run(i32 %me) {
entry:
  %group = alloca %group, align 8
  %task = load %task, ptr @task
  %function = extractvalue %task %task, 0
  %data = extractvalue %task %task, 1
  %pieces = extractvalue %task %task, 2
  %size = extractvalue %task %task, 3
  %launch = extractvalue %task %task, 4
  store ptr null, ptr %group
  %group_pieces = getelementptr %group, ptr %group, i32 0, i32 1
  store i32 %pieces, ptr %group_pieces
  br label %look
look:
  %share = phi i32 [ 0, %entry ], [ %share, %body ], [ %other, %next ]
  %owner = phi i32 [ %me, %entry ], [ %owner, %body ], [ %following, %next ]
  %failed = phi i32 [ 0, %entry ], [ %failed_now, %body ], [ %failed, %next ]
  %owner_64 = zext i32 %owner to i64
  %piece = call i32 @claim(i64 %owner_64, i32 %pieces, i32 %size, i64 %launch)
  %none = icmp slt i32 %piece, 0
  br i1 %none, label %next, label %body
body:
  %result = call i32 %function(i32 %piece, ptr %group, ptr %data)
  %failed_now = or i32 %failed, %result
  br label %look
next:
  %other = add i32 %share, 1
  %sum = add i32 %owner, 1
  %wraps = icmp eq i32 %sum, %size
  %following = select i1 %wraps, i32 0, i32 %sum
  %all = icmp eq i32 %other, %size
  br i1 %all, label %out, label %look
out:
  ret i32 %failed
}

; An idle member spins until it is called, for at most 2^27 cycles, 30 to 60 ms: to be woken takes a member 30 us and its
; caller 10, more where the core has gone to sleep, and other libraries spin as long. But nobody is to wait for its core
; meanwhile: where a yield takes 2^15 cycles somebody else has run, and then it is 2^22 cycles, 1 to 2 ms.
define internal void @rest(ptr %member) {
entry:
  %since = call i64 @llvm.readcyclecounter()
  br label %look
look:
  %turn = phi i32 [ 0, %entry ], [ %next, %wait ], [ %next, %stay ]
  %patience = phi i64 [ 134217728, %entry ], [ %patience, %wait ], [ %patience_now, %stay ]
  %state = load atomic i32, ptr %member monotonic, align 4
  %idle = icmp eq i32 %state, 0
  br i1 %idle, label %spin, label %out
spin:
  %next = add i32 %turn, 1
  %of_1024 = and i32 %next, 1023
  %yields = icmp eq i32 %of_1024, 0
  br i1 %yields, label %yield, label %wait
wait:
  call void $pause
  br label %look
yield:
  %before = call i64 @llvm.readcyclecounter()
  call i32 @sched_yield()
  %now = call i64 @llvm.readcyclecounter()
  %yielded = sub i64 %now, %before
  %is_shared = icmp ugt i64 %yielded, 32768
  %patience_now = select i1 %is_shared, i64 4194304, i64 %patience
  %waited = sub i64 %now, %since
  %over = icmp ugt i64 %waited, %patience_now
  br i1 %over, label %sleep, label %stay
stay:
  br label %look
sleep:
  cmpxchg ptr %member, i32 0, i32 3 monotonic monotonic
  br label %out
out:
  ret void
}

; The life of a member: wait until it is called, run pieces, say so.
define internal ptr @serve(ptr %argument) {
entry:
  %id = ptrtoint ptr %argument to i64
  %me = trunc i64 %id to i32
  %member = getelementptr [1024 x %member], ptr @members, i64 0, i64 %id
  br label %look
look:
  %state = load atomic i32, ptr %member monotonic, align 4
  switch i32 %state, label %idle [ i32 1, label %come
                                   i32 3, label %sleep
                                   i32 4, label %here ]
here:
  cmpxchg ptr %member, i32 4, i32 0 monotonic monotonic
  br label %look
idle:
  call void @rest(ptr %member)
  br label %look
sleep:
  call i64 (i64, ...) @syscall(i64 $futex, ptr %member, i32 128, i32 3, ptr null, ptr null, i32 0) ; FUTEX_WAIT_PRIVATE
  br label %look
come:
  %swapped = cmpxchg ptr %member, i32 1, i32 2 acquire monotonic
  %came = extractvalue { i32, i1 } %swapped, 1
  br i1 %came, label %work, label %look
work:
  call void @come_home(ptr %member)
  %failed = call i32 @run(i32 %me)
  %fails = icmp ne i32 %failed, 0
  br i1 %fails, label %fail, label %done
fail:
  atomicrmw or ptr @failed, i32 %failed monotonic
  br label %done
done:
  store atomic i32 0, ptr %member release, align 4
  br label %look
}

; Start the threads that are missing; how many members there are then. Fewer than wanted where the system refuses.
define internal i32 @start(i32 %size) {
entry:
  br label %look
look:
  %started = load i32, ptr @started
  %missing = icmp slt i32 %started, %size
  br i1 %missing, label %start, label %enough
start:
  %id = zext i32 %started to i64
  %argument = inttoptr i64 %id to ptr
  %member = getelementptr [1024 x %member], ptr @members, i64 0, i64 %id
  %missed_at = getelementptr %member, ptr %member, i64 0, i32 3
  %thread = getelementptr %member, ptr %member, i64 0, i32 4
  store atomic i32 4, ptr %member monotonic, align 4   ; pthread_create orders this before what the thread does
  store i64 1, ptr %missed_at
  %error = call i32 @pthread_create(ptr %thread, ptr null, ptr @serve, ptr %argument)
  %refused = icmp ne i32 %error, 0
  br i1 %refused, label %fewer, label %more
more:
  %started_now = add i32 %started, 1
  store i32 %started_now, ptr @started
  br label %look
fewer:
  ret i32 %started
enough:
  ret i32 %size
}

; Whether a member will be late, in which case it is moved off this core: it sleeps, or has been missed for 2^17 cycles,
; some 50 us. One that runs answers within 0.2 us, and one that does not run is away for a slice of time.
define internal i1 @is_late(ptr %member) {
entry:
  %state = load atomic i32, ptr %member monotonic, align 4
  switch i32 %state, label %no [ i32 3, label %yes
                                 i32 4, label %missed ]
missed:
  %missed_at_at = getelementptr %member, ptr %member, i64 0, i32 3
  %missed_at = load i64, ptr %missed_at_at
  %now = call i64 @llvm.readcyclecounter()
  %ago = sub i64 %now, %missed_at
  %long = icmp ugt i64 %ago, 131072
  br i1 %long, label %yes, label %no
yes:
  call void @move_away(ptr %member)
  ret i1 true
no:
  ret i1 false
}

; Members 1 to size - 1: whether one of them will be late.
define internal i1 @is_one_late(i32 %size) {
entry:
  br label %look
look:
  %id = phi i32 [ 1, %entry ], [ %next, %ask ]
  %late = phi i1 [ false, %entry ], [ %late_now, %ask ]
  %more = icmp slt i32 %id, %size
  br i1 %more, label %ask, label %out
ask:
  %id_64 = zext i32 %id to i64
  %member = getelementptr [1024 x %member], ptr @members, i64 0, i64 %id_64
  %is_late = call i1 @is_late(ptr %member)
  %late_now = or i1 %late, %is_late
  %next = add i32 %id, 1
  br label %look
out:
  ret i1 %late
}

; Call members 1 to size - 1, and wake those that sleep.
define internal void @call_all(i32 %size) {
entry:
  br label %look
look:
  %id = phi i32 [ 1, %entry ], [ %next, %present ], [ %next, %wake ], [ %next, %call ]
  %more = icmp slt i32 %id, %size
  br i1 %more, label %call, label %out
call:
  %id_64 = zext i32 %id to i64
  %next = add i32 %id, 1
  %member = getelementptr [1024 x %member], ptr @members, i64 0, i64 %id_64
  %missed_at = getelementptr %member, ptr %member, i64 0, i32 3
  %before = atomicrmw xchg ptr %member, i32 1 release
  switch i32 %before, label %present [ i32 3, label %wake
                                       i32 4, label %look ]
wake:
  store i64 1, ptr %missed_at                  ; missed for ages: late until it comes, in however many launches
  call i64 (i64, ...) @syscall(i64 $futex, ptr %member, i32 129, i32 1, ptr null, ptr null, i32 0) ; FUTEX_WAKE_PRIVATE
  br label %look
present:
  store i64 0, ptr %missed_at
  br label %look
out:
  ret void
}

; A turn of waiting for a member that runs a piece: some 20 to 60 ns. One in 1024 yields, for the case that it needs this very
; core.
define internal void @pause(i32 %turn) {
entry:
  %of_1024 = and i32 %turn, 1023
  %yields = icmp eq i32 %of_1024, 1023
  br i1 %yields, label %yield, label %pause
yield:
  call i32 @sched_yield()
  ret void
pause:
  call void $pause
  ret void
}

; No piece is left: withdraw the call from a member that has not come, wait for one that is at a piece.
define internal void @dismiss(ptr %member) {
entry:
  %swapped = cmpxchg ptr %member, i32 1, i32 4 monotonic acquire   ; a failure may have found `idle`, as the loads below
  %withdrawn = extractvalue { i32, i1 } %swapped, 1
  br i1 %withdrawn, label %miss, label %look
miss:
  %missed_at = getelementptr %member, ptr %member, i64 0, i32 3
  %since = load i64, ptr %missed_at
  %is_first = icmp eq i64 %since, 0
  br i1 %is_first, label %first, label %out
first:
  %now = call i64 @llvm.readcyclecounter()
  store i64 %now, ptr %missed_at
  ret void
look:
  %turn = phi i32 [ 0, %entry ], [ %next, %wait ]
  %state = load atomic i32, ptr %member acquire, align 4
  %runs = icmp eq i32 %state, 2
  br i1 %runs, label %wait, label %out
wait:
  call void @pause(i32 %turn)
  %next = add i32 %turn, 1
  br label %look
out:
  ret void
}

define internal void @dismiss_all(i32 %size) {
entry:
  br label %look
look:
  %id = phi i32 [ 1, %entry ], [ %next, %dismiss ]
  %more = icmp slt i32 %id, %size
  br i1 %more, label %dismiss, label %out
dismiss:
  %id_64 = zext i32 %id to i64
  %next = add i32 %id, 1
  %member = getelementptr [1024 x %member], ptr @members, i64 0, i64 %id_64
  call void @dismiss(ptr %member)
  br label %look
out:
  ret void
}

; All pieces by the caller alone; what they returned, ORed.
define internal i32 @run_alone(ptr %function, ptr %data, i32 %wanted) {
entry:
  %group = alloca %group, align 8
  %pieces = call i32 @llvm.smax.i32(i32 %wanted, i32 1)
  store ptr null, ptr %group
  %group_pieces = getelementptr %group, ptr %group, i32 0, i32 1
  store i32 %pieces, ptr %group_pieces
  br label %body
body:
  %piece = phi i32 [ 0, %entry ], [ %next, %body ]
  %failed = phi i32 [ 0, %entry ], [ %failed_now, %body ]
  %result = call i32 %function(i32 %piece, ptr %group, ptr %data)
  %failed_now = or i32 %failed, %result
  %next = add i32 %piece, 1
  %more = icmp slt i32 %next, %pieces
  br i1 %more, label %body, label %out
out:
  ret i32 %failed_now
}

; In place of TVMBackendParallelLaunch, for kernels on `threads` threads. Nonzero where a piece returned that. `wanted` is the
; number of pieces; 0, the only one that ours ask for, leaves it to us: one a member as long as all are there, and eight where
; one is late, so that the others share what it would have done.
; What a piece raises belongs to its thread. So when one fails elsewhere, all run again here, where the caller finds the error.
define internal i32 @launch(ptr nest %threads, ptr %function, ptr %data, i32 %wanted) {
entry:
  %is_free_choice = icmp eq i32 %wanted, 0
  br i1 %is_free_choice, label %ask, label %alone
ask:
  %swapped = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
  %free = extractvalue { i32, i1 } %swapped, 1
  br i1 %free, label %prepare, label %alone
alone:
  %failed_alone = call i32 @run_alone(ptr %function, ptr %data, i32 %wanted)
  ret i32 %failed_alone
prepare:
  %threads_64 = ptrtoint ptr %threads to i64
  %threads_32 = trunc i64 %threads_64 to i32
  %size = call i32 @start(i32 %threads_32)
  %late = call i1 @is_one_late(i32 %size)
  %each = select i1 %late, i32 8, i32 1
  %pieces = mul i32 %size, %each
  %launches = load i64, ptr @launches
  %launch = add i64 %launches, 1
  store i64 %launch, ptr @launches
  %task_0 = insertvalue %task undef, ptr %function, 0
  %task_1 = insertvalue %task %task_0, ptr %data, 1
  %task_2 = insertvalue %task %task_1, i32 %pieces, 2
  %task_3 = insertvalue %task %task_2, i32 %size, 3
  %task_4 = insertvalue %task %task_3, i64 %launch, 4
  store %task %task_4, ptr @task
  store i32 0, ptr @failed
  call void @call_all(i32 %size)
  %failed_here = call i32 @run(i32 0)
  call void @dismiss_all(i32 %size)
  %failed_there = load i32, ptr @failed
  store atomic i32 0, ptr @busy release, align 4
  %fails = icmp ne i32 %failed_there, 0
  br i1 %fails, label %alone, label %return
return:
  ret i32 %failed_here
}

; What Python calls, in the calling convention of TVM's functions: arguments and result are pairs of a type (0 none,
; 1 integer) and, eight bytes on, a value.

; launcher(threads) -> the address of a launch on so many threads, for ever; 0 where the system has no memory for it.
; LLVM's trampoline is that: a few instructions, written into a page of their own, that call @launch with the number.
define i32 @__tvm_ffi_launcher(ptr %self, ptr %arguments, i32 %count, ptr %result) {
entry:
  %threads_at = getelementptr i8, ptr %arguments, i64 8
  %threads = load ptr, ptr %threads_at
  %value = getelementptr i8, ptr %result, i64 8
  store i32 1, ptr %result
  store i64 0, ptr %value
  %page = call ptr @mmap(ptr null, i64 4096, i32 3, i32 34, i32 -1, i64 0)     ; read and write; private and anonymous
  %address = ptrtoint ptr %page to i64
  %refused = icmp eq i64 %address, -1
  br i1 %refused, label %out, label %write
write:
  call void @llvm.init.trampoline(ptr %page, ptr @launch, ptr %threads)
  %start = call ptr @llvm.adjust.trampoline(ptr %page)
  %error = call i32 @mprotect(ptr %page, i64 4096, i32 5)                      ; read and execute
  %forbidden = icmp ne i32 %error, 0
  br i1 %forbidden, label %out, label %ready
ready:
  %launch = ptrtoint ptr %start to i64
  store i64 %launch, ptr %value
  br label %out
out:
  ret i32 0
}

; reset(): forget all threads, which a forked process does not have
define i32 @__tvm_ffi_reset(ptr %self, ptr %arguments, i32 %count, ptr %result) {
  call void @llvm.memset.p0.i64(ptr @members, i8 0, i64 262144, i1 false)
  store i32 1, ptr @started
  store i32 0, ptr @busy
  ret i32 0
}
