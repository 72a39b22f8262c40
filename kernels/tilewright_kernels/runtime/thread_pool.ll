; The threads that share the parallel loops of a kernel; why not TVM's own is in docs/decisions/0015-a-crew-of-threads.md.
;
; The caller of a kernel is member 0 of the crew. Every other member waits for its ticket to change, by spinning for some
; milliseconds and then asleep on a futex, and so learns of work within one trip of a cache line between cores.
; Members take tasks in turn: member i of n runs tasks i, i + n, i + 2n, ...
;
; One launch at a time has the crew. Another one meanwhile, from a second thread of the program or from inside a task,
; runs all its tasks by itself: the results are the same.

target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

%task = type { ptr, ptr, i32, i32 }            ; function, its data, number of tasks, members who share them
%member = type { i32, i32, [56 x i8] }         ; ticket, whether asleep; a cache line each
%group = type { ptr, i32 }                     ; TVMParallelGroupEnv: barriers (we have none), number of tasks

@task = internal global %task zeroinitializer, align 64
@members = internal global [1024 x %member] zeroinitializer, align 64
@unfinished = internal global i32 0, align 64  ; members who still run tasks
@failed = internal global i32 0, align 64      ; what they returned, ORed
@engaged = internal global i32 0, align 64     ; 1 while a launch has the crew
@size = internal global i32 1, align 4         ; of the crew, the caller included
@hired = internal global i32 1, align 4        ; members who have a thread, the caller included

declare void @llvm.x86.sse2.pause()
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i32 @llvm.smax.i32(i32, i32)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @sched_yield()
declare i64 @syscall(i64, ...)

; Wait until the word is not `value` any more, for at most `patience` turns. A pause is some 20 ns; one turn in 1024
; yields, for the case that the one who is waited for has to run on this very core.
define internal void @spin(ptr %word, i32 %value, i32 %patience) {
entry:
  br label %look
look:
  %turn = phi i32 [ 0, %entry ], [ %next, %pause ], [ %next, %yield ]
  %now = load atomic i32, ptr %word acquire, align 4
  %changed = icmp ne i32 %now, %value
  %over = icmp eq i32 %turn, %patience
  %leave = or i1 %changed, %over
  br i1 %leave, label %out, label %wait
wait:
  %next = add i32 %turn, 1
  %of_1024 = and i32 %next, 1023
  %yields = icmp eq i32 %of_1024, 0
  br i1 %yields, label %yield, label %pause
yield:
  call i32 @sched_yield()
  br label %look
pause:
  call void @llvm.x86.sse2.pause()
  br label %look
out:
  ret void
}

; Run tasks first, first + step, ... ; what they return, ORed.
define internal i32 @run(ptr %function, ptr %data, i32 %tasks, i32 %first, i32 %step) {
entry:
  %group = alloca %group, align 8
  store ptr null, ptr %group
  %group_tasks = getelementptr %group, ptr %group, i32 0, i32 1
  store i32 %tasks, ptr %group_tasks
  br label %look
look:
  %index = phi i32 [ %first, %entry ], [ %next, %body ]
  %failed = phi i32 [ 0, %entry ], [ %failed_now, %body ]
  %more = icmp slt i32 %index, %tasks
  br i1 %more, label %body, label %out
body:
  %result = call i32 %function(i32 %index, ptr %group, ptr %data)
  %failed_now = or i32 %failed, %result
  %next = add i32 %index, %step
  br label %look
out:
  ret i32 %failed
}

; The life of a member: wait for a ticket, run its share, say so.
define internal ptr @serve(ptr %argument) {
entry:
  %id = ptrtoint ptr %argument to i64
  %first = trunc i64 %id to i32
  %ticket = getelementptr [1024 x %member], ptr @members, i64 0, i64 %id, i32 0
  %asleep = getelementptr [1024 x %member], ptr @members, i64 0, i64 %id, i32 1
  br label %wait
wait:
  %seen = phi i32 [ 0, %entry ], [ %seen, %sleep ], [ %now, %work ]
  call void @spin(ptr %ticket, i32 %seen, i32 100000)
  %now = load atomic i32, ptr %ticket acquire, align 4
  %idle = icmp eq i32 %now, %seen
  br i1 %idle, label %sleep, label %work
sleep:
  store atomic i32 1, ptr %asleep seq_cst, align 4
  call i64 (i64, ...) @syscall(i64 202, ptr %ticket, i32 128, i32 %seen, ptr null, ptr null, i32 0) ; FUTEX_WAIT_PRIVATE
  store atomic i32 0, ptr %asleep seq_cst, align 4
  br label %wait
work:
  %task = load %task, ptr @task
  %function = extractvalue %task %task, 0
  %data = extractvalue %task %task, 1
  %tasks = extractvalue %task %task, 2
  %step = extractvalue %task %task, 3
  %failed = call i32 @run(ptr %function, ptr %data, i32 %tasks, i32 %first, i32 %step)
  atomicrmw or ptr @failed, i32 %failed monotonic
  atomicrmw sub ptr @unfinished, i32 1 release
  br label %wait
}

; Start the threads that are missing; how many members there are then. Fewer than wanted where the system refuses.
define internal i32 @hire() {
entry:
  %thread = alloca i64, align 8
  br label %look
look:
  %hired = load i32, ptr @hired
  %size = load atomic i32, ptr @size monotonic, align 4
  %missing = icmp slt i32 %hired, %size
  br i1 %missing, label %start, label %enough
start:
  %id = zext i32 %hired to i64
  %argument = inttoptr i64 %id to ptr
  %error = call i32 @pthread_create(ptr %thread, ptr null, ptr @serve, ptr %argument)
  %refused = icmp ne i32 %error, 0
  br i1 %refused, label %fewer, label %started
started:
  %more = add i32 %hired, 1
  store i32 %more, ptr @hired
  br label %look
fewer:
  ret i32 %hired
enough:
  ret i32 %size
}

; In place of TVMBackendParallelLaunch. Nonzero where a task returned that; `wanted` is the number of tasks, 0 for one each.
; What a task raises belongs to its thread. So when one fails elsewhere, all run again here, where the caller finds the error.
define internal i32 @launch(ptr %function, ptr %data, i32 %wanted) {
entry:
  %swapped = cmpxchg ptr @engaged, i32 0, i32 1 acquire monotonic
  %free = extractvalue { i32, i1 } %swapped, 1
  br i1 %free, label %engage, label %serial
serial:
  %least = call i32 @llvm.smax.i32(i32 %wanted, i32 1)
  %failed_serially = call i32 @run(ptr %function, ptr %data, i32 %least, i32 0, i32 1)
  ret i32 %failed_serially
engage:
  %size = call i32 @hire()
  %each = icmp eq i32 %wanted, 0
  %tasks = select i1 %each, i32 %size, i32 %wanted
  %task_0 = insertvalue %task undef, ptr %function, 0
  %task_1 = insertvalue %task %task_0, ptr %data, 1
  %task_2 = insertvalue %task %task_1, i32 %tasks, 2
  %task_3 = insertvalue %task %task_2, i32 %size, 3
  store %task %task_3, ptr @task
  %others = sub i32 %size, 1
  store i32 0, ptr @failed
  store i32 %others, ptr @unfinished
  br label %look
look:
  %member = phi i32 [ 1, %engage ], [ %next, %call ], [ %next, %wake ]
  %more = icmp slt i32 %member, %size
  br i1 %more, label %call, label %own
call:
  %id = zext i32 %member to i64
  %next = add i32 %member, 1
  %ticket = getelementptr [1024 x %member], ptr @members, i64 0, i64 %id, i32 0
  %asleep = getelementptr [1024 x %member], ptr @members, i64 0, i64 %id, i32 1
  atomicrmw add ptr %ticket, i32 1 seq_cst
  %sleeps = load atomic i32, ptr %asleep seq_cst, align 4
  %awake = icmp eq i32 %sleeps, 0
  br i1 %awake, label %look, label %wake
wake:
  call i64 (i64, ...) @syscall(i64 202, ptr %ticket, i32 129, i32 1, ptr null, ptr null, i32 0) ; FUTEX_WAKE_PRIVATE
  br label %look
own:
  %failed_here = call i32 @run(ptr %function, ptr %data, i32 %tasks, i32 0, i32 %size)
  br label %wait
wait:
  %left = load atomic i32, ptr @unfinished acquire, align 4
  %finished = icmp eq i32 %left, 0
  br i1 %finished, label %out, label %spin
spin:
  call void @spin(ptr @unfinished, i32 %left, i32 -1)
  br label %wait
out:
  %failed_there = load i32, ptr @failed
  store atomic i32 0, ptr @engaged release, align 4
  %fails = icmp ne i32 %failed_there, 0
  br i1 %fails, label %serial, label %return
return:
  ret i32 %failed_here
}

; What Python calls, in the calling convention of TVM's functions: arguments and result are pairs of a type (0 none,
; 1 integer) and, eight bytes on, a value.

; launcher() -> the address of @launch
define i32 @__tvm_ffi_launcher(ptr %self, ptr %arguments, i32 %count, ptr %result) {
  %value = getelementptr i8, ptr %result, i64 8
  store i32 1, ptr %result
  store i64 ptrtoint (ptr @launch to i64), ptr %value
  ret i32 0
}

; resize(size): the next launch starts the threads that it then needs
define i32 @__tvm_ffi_resize(ptr %self, ptr %arguments, i32 %count, ptr %result) {
  %value = getelementptr i8, ptr %arguments, i64 8
  %size = load i32, ptr %value
  store atomic i32 %size, ptr @size monotonic, align 4
  ret i32 0
}

; dismiss(): forget all threads, which a forked process does not have
define i32 @__tvm_ffi_dismiss(ptr %self, ptr %arguments, i32 %count, ptr %result) {
  call void @llvm.memset.p0.i64(ptr @members, i8 0, i64 65536, i1 false)
  store i32 1, ptr @hired
  store i32 0, ptr @engaged
  ret i32 0
}
