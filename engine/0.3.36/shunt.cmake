# How Shunt compiles llama.cpp in a third of the time, without editing upstream's CMakeLists.txt:
# cmake -DCMAKE_PROJECT_INCLUDE=<this file>. It acts once, when the top folder has been read and all targets exist.
#
# What computes (ggml-*, the core of libllama, sampling, decoding of pictures and sound) keeps -O3, with no exception.
# What reads options, JSON, templates and HTTP is compiled cheaply: its time per token is not measurable.
include_guard(GLOBAL)

# gcc's -Og is its quickest level (quicker than -O0, half of -O2); the inlining gives back most of -O1's code.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
	set(SHUNT_CHEAP -Og -finline-functions-called-once)
else()
	set(SHUNT_CHEAP -O1)
endif()

# Several sources as one: the headers are read once.
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

function(shunt_tune)
	foreach(target llama-common mtmd server-context llama-server-impl llama-bench-impl cpp-httplib ggml-rpc-server)
		if(TARGET ${target})
			target_compile_options(${target} PRIVATE ${SHUNT_CHEAP})
		endif()
	endforeach()

	shunt_unity(llama-common      12)
	shunt_unity(mtmd              12)
	shunt_unity(server-context    4)
	shunt_unity(llama-server-impl 4)

	# upstream's unity build has only the 130 graph builders, in parts of 16; the core is left out
	if(TARGET llama)
		set_target_properties(llama PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
		get_target_property(folder llama SOURCE_DIR)
		file(GLOB files RELATIVE ${folder} ${folder}/*.cpp ${folder}/models/*.cpp)
		shunt_sources(llama SKIP_UNITY_BUILD_INCLUSION OFF ${files})
		set(n 0)
		foreach(file ${files})
			if(file MATCHES "^models/")
				math(EXPR group "${n} / 24")
				math(EXPR n "${n} + 1")
			elseif(file MATCHES "^llama-(kv-cache|memory)")
				set(group memory)
			elseif(file MATCHES "^(llama-grammar|llama-sampler|llama-vocab|unicode)")
				set(group text)
			else()
				set(group core)
			endif()
			shunt_sources(llama UNITY_GROUP ${group} ${file})
		endforeach()
	endif()

	# these do not compile as part of another
	shunt_sources(llama-common SKIP_UNITY_BUILD_INCLUSION ON json.cpp)
	shunt_sources(mtmd         SKIP_UNITY_BUILD_INCLUSION ON mtmd-helper-gen.cpp)

	# cold: only runs when a model is loaded, saved or quantised
	shunt_sources(llama COMPILE_OPTIONS "${SHUNT_CHEAP}" llama-arch.cpp llama-chat.cpp llama-model.cpp llama-model-loader.cpp
		llama-model-saver.cpp llama-quant.cpp)

	# warm and hot: an option of its own also takes a source out of unity
	shunt_sources(llama-common COMPILE_OPTIONS -O3 sampling.cpp ngram-cache.cpp ngram-map.cpp ngram-mod.cpp unicode.cpp)
	shunt_sources(llama-common COMPILE_OPTIONS -O2 peg-parser.cpp)
	shunt_sources(mtmd         COMPILE_OPTIONS -O3 mtmd-audio.cpp mtmd-image.cpp)
	shunt_sources(mtmd         COMPILE_OPTIONS -O1 mtmd-helper.cpp)
endfunction()

cmake_language(DEFER CALL shunt_tune)
