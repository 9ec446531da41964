# How Shunt compiles llama.cpp in a fraction of the time, without editing upstream's CMakeLists.txt:
# cmake -DCMAKE_PROJECT_INCLUDE=<this file>. It acts once, when the top folder has been read and all targets exist.
#
# What computes (ggml-cpu, ggml-base but for the files named below, pictures' and sound's preparation) keeps -O3. What goes
# over the KV cache or the vocabulary on the host has -O2. The rest builds graphs, loads models or reads options, JSON,
# templates and HTTP: its time per token is not measurable. Turning text into tokens takes half as long again.
include_guard(GLOBAL)

# gcc's -Og is its quickest level (quicker than -O0, half of -O2); the inlining gives back most of -O1's code.
# Collecting the compiler's garbage late saves a tenth of the time; the largest part then takes 1106 of engine.ini's 1200 MiB.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
	set(SHUNT_CHEAP -Og -finline-functions-called-once)
	add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:--param=ggc-min-heapsize=500000>)
else()
	set(SHUNT_CHEAP -O1)
endif()

# Several sources as one: the headers are read once, and templates are compiled once.
function(shunt_unity target batch)
	if(TARGET ${target})
		set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${batch})
	endif()
endfunction()

# Sets a property of some of a target's sources. Relative names would mean *this* folder's: make them absolute.
function(shunt_sources target property value)
	if(TARGET ${target})
		get_target_property(folder ${target} SOURCE_DIR)
		list(TRANSFORM ARGN PREPEND ${folder}/)
		set_source_files_properties(${ARGN} TARGET_DIRECTORY ${target} PROPERTIES ${property} "${value}")
	endif()
endfunction()

# As shunt_unity, for the sources that match: a later call takes its own out of an earlier one's group. The options are
# the generated file's: those of a source would take it out of unity. Were they lost, the target's level would remain.
function(shunt_group target group pattern options)
	if(TARGET ${target})
		get_target_property(folder ${target} SOURCE_DIR)
		get_target_property(binary ${target} BINARY_DIR)
		get_target_property(files ${target} SOURCES)
		list(TRANSFORM files REPLACE "^${folder}/" "") # upstream names some with their folder
		list(FILTER files INCLUDE REGEX "\\.cpp$")
		list(FILTER files INCLUDE REGEX "${pattern}")
		set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
		shunt_sources(${target} SKIP_UNITY_BUILD_INCLUSION OFF ${files})
		shunt_sources(${target} UNITY_GROUP ${group} ${files})
		set_source_files_properties(${binary}/CMakeFiles/${target}.dir/Unity/unity_${group}_cxx.cxx TARGET_DIRECTORY ${target}
			PROPERTIES COMPILE_OPTIONS "${options}")
	endif()
endfunction()

function(shunt_tune)
	foreach(target ggml ggml-rpc ggml-rpc-server llama-common mtmd server-context llama-server-impl llama-bench-impl cpp-httplib)
		if(TARGET ${target})
			target_compile_options(${target} PRIVATE ${SHUNT_CHEAP})
		endif()
	endforeach()

	# the first three: files, training, the splitting over devices. Quantised rows are read no slower than at -O3
	shunt_sources(ggml-base COMPILE_OPTIONS "${SHUNT_CHEAP}" ggml-backend-meta.cpp ggml-opt.cpp gguf.cpp)
	shunt_sources(ggml-base COMPILE_OPTIONS -O2 ggml-quants.c)

	# hot: a pass over the KV cache's cells for each batch, over the vocabulary for each token; the models only build graphs
	# (parts of their own: kv-cache-dsv4 is no neighbour of the context, deepseek4 none of glm5: static functions of one name)
	shunt_group(llama core    "^[^/]*$" "${SHUNT_CHEAP}")
	shunt_group(llama memory  "^llama-(kv-cache|memory)" "${SHUNT_CHEAP}")
	shunt_group(llama load    "^llama-(arch|chat|grammar|model|quant|vocab)|^unicode" "${SHUNT_CHEAP}")
	shunt_group(llama hot     "^llama-(kv-cache|sampler)\\.cpp" -O2)
	shunt_group(llama models1 "^models/[a-f]" "${SHUNT_CHEAP}")
	shunt_group(llama models2 "^models/[g-m]" "${SHUNT_CHEAP}")
	shunt_group(llama models3 "^models/[n-z]" "${SHUNT_CHEAP}")

	shunt_group(llama-common options "^[^/]*$" "")
	shunt_group(llama-common chat    "^(chat|json-schema|peg|reasoning)" "")
	shunt_group(llama-common parsers "^(jinja|parsers)/" "")
	shunt_unity(mtmd              60)
	shunt_unity(server-context    10)
	shunt_unity(llama-server-impl 4)

	# these do not compile as part of another
	shunt_sources(llama-common SKIP_UNITY_BUILD_INCLUSION ON json.cpp)
	shunt_sources(mtmd         SKIP_UNITY_BUILD_INCLUSION ON mtmd-helper-gen.cpp)

	# warm and hot: an option of its own also takes a source out of unity
	shunt_sources(llama-common COMPILE_OPTIONS -O2 ngram-cache.cpp ngram-map.cpp ngram-mod.cpp sampling.cpp unicode.cpp)
	shunt_sources(mtmd         COMPILE_OPTIONS -O3 mtmd-audio.cpp mtmd-image.cpp)
	shunt_sources(mtmd         COMPILE_OPTIONS -O1 mtmd-helper.cpp)
endfunction()

cmake_language(DEFER CALL shunt_tune)
