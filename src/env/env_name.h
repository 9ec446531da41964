/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* llm_<slug>_<backend>: the slug is the model id without a trailing ".gguf" and quantisation mark,
 * lower case, every run of other characters than [a-z0-9] one '_', none at the ends. A slug of up
 * to 120 characters is whole; past that its first 110 and 8 hex digits of a hash of the whole slug:
 * two quantisations of one model share an environment, however long its name is. */

/* "llm_mistral_7b_instruct_v0_2_cuda", caller frees. */
char *env_name(const char *model_id, const char *backend);
